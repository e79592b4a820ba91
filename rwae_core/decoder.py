"""The generator G: x_t from (z^c, z^m_t), deterministic.

Shapes: B clips, T steps, Dc content and Dm motion dimensions, F features of a frame.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import ModelConfig
from rwae_core.frames import SimpleDecoder


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

    def forward(self, z_c: Float[Tensor, "B Dc"], z_m: Float[Tensor, "B T Dm"]) -> Float[Tensor, "B T C H W"]:
        steps = z_m.shape[1]
        codes = self.codes(torch.cat([z_c[:, None].expand(-1, steps, -1), z_m], dim=-1))
        hidden = self.lstm(codes)[0] if self.recurrent else self.memoryless(codes)
        return self.frames(hidden.flatten(0, 1)).unflatten(0, (len(z_c), steps))
