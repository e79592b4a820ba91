"""The generator G: x_t from (z^c, z^m_t), deterministic.

Shapes: B clips, T steps, Dc content and Dm motion dimensions, F features of a frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ModelConfig
from rwae_core.frames import SimpleDecoder


class ModulatedDecoder(nn.Module):
    """z^m_t lays a frame out, z^c says what is in it: features of each scale are scaled and shifted by z^c.

    Transposed convolutions grow a map from z^m_t alone; after each, channel k becomes (1 + a_k(z^c)) · k + b_k(z^c)
    (FiLM, Perez et al. 2018). z^c acts on all places and frames alike, so it cannot say where something is. Each frame
    is drawn from its own z^m_t, without memory.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, widths = config.hidden_dim, config.frame_networks.decoder_widths
        self.content = nn.Sequential(nn.Linear(config.content_dim, hidden), nn.LeakyReLU(0.2))
        self.motion = nn.Sequential(
            nn.Linear(config.motion_dim, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, widths[0] * 16),
            nn.Unflatten(1, (widths[0], 4, 4)),
        )
        self.modulations = nn.ModuleList([nn.Linear(hidden, 2 * width) for width in widths])
        self.convolutions = nn.ModuleList(
            [
                nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)
                for before, after in zip(widths, (*widths[1:], config.channels), strict=True)
            ]
        )
        self.sigmoid = config.frame_networks.output == "sigmoid"

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.convolutions[-1].get_parameter("bias")

    def forward(self, z_c: Float[Tensor, "B Dc"], z_m: Float[Tensor, "B T Dm"]) -> Float[Tensor, "B T C H W"]:
        batch, steps = z_m.shape[:2]
        content = self.content(z_c)
        maps = self.motion(z_m.flatten(0, 1))
        for modulation, convolution in zip(self.modulations, self.convolutions, strict=True):
            scale, shift = modulation(content).repeat_interleave(steps, 0)[..., None, None].chunk(2, dim=1)
            maps = convolution(functional.leaky_relu(maps * (1 + scale) + shift, 0.2))
        frames = maps.float().unflatten(0, (batch, steps))
        if self.sigmoid:
            return frames.sigmoid()
        return frames if self.training else frames.clamp(0, 1)


class Decoder(nn.Module):
    """FC on (z^c, z^m_t), an LSTM over time (the paper's) or an FC layer of each frame alone, a frame decoder.

    The memoryless form cannot replay a motion that it was not told by z^m_t, so motion has to be in z^m.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.codes = nn.Sequential(nn.Linear(config.content_dim + config.motion_dim, hidden), nn.LeakyReLU(0.2))
        self.recurrent = config.decoder == "recurrent"
        if self.recurrent:
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        else:
            self.memoryless = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2))
        self.frames = SimpleDecoder(config)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.frames.convolutions[-1].get_parameter("bias")

    def forward(self, z_c: Float[Tensor, "B Dc"], z_m: Float[Tensor, "B T Dm"]) -> Float[Tensor, "B T C H W"]:
        steps = z_m.shape[1]
        codes = self.codes(torch.cat([z_c[:, None].expand(-1, steps, -1), z_m], dim=-1))
        hidden = self.lstm(codes)[0] if self.recurrent else self.memoryless(codes)
        return self.frames(hidden.flatten(0, 1)).unflatten(0, (len(z_c), steps))
