"""A decoder for one object that moves without changing: z^c draws it, z^m_t says where it is.

Shapes: B clips, T steps, S of them drawn, frames of C×H×H, H = 64 or another power of two, W = H / 2.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.decoder import at_steps, dynamic
from rwae_core.frames.output import Output
from rwae_core.frames.strided import Up
from rwae_core.latents import Latents
from rwae_core.motion import State
from rwae_core.precision import at_least_single


class PlacedDecoder(nn.Module):
    """x_t(u) = b + o_{z^c}(u − p_{z^m_t}): a picture o of half the frame's side, drawn once, at a place p in each.

    A translation is all that z^m (and a) can say, so what the object looks like has to be in z^c, and where it is
    cannot be. b is a colour that all clips share. Each frame is drawn from its own z^m_t, without memory. Between
    pixels the picture is interpolated, as in a spatial transformer (Jaderberg et al. 2015).
    """

    def __init__(self, config: ModelConfig, networks: SimpleFrames) -> None:
        super().__init__()
        hidden, widths = config.hidden_dim, networks.decoder_widths
        self.side = networks.size
        layers: list[nn.Module] = [nn.Linear(config.content_dim, hidden), nn.LeakyReLU(0.2)]
        layers += [nn.Linear(hidden, widths[0] * 4), nn.Unflatten(1, (widths[0], 2, 2))]
        for before, after in zip(widths, (*widths[1:], networks.channels), strict=True):
            layers += [nn.LeakyReLU(0.2), Up(before, after)]
        self.object = nn.Sequential(*layers)
        self.place = nn.Sequential(
            nn.Linear(config.motion_dim + config.actions, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, 2),
        )
        self.output_bias = nn.Parameter(torch.zeros(networks.channels))
        self.output = Output(networks.output)

    def forward(self, codes: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S C H H"]:
        moved = at_steps(dynamic(codes), steps)
        drawn = at_least_single(self.object(codes.z_c))
        with torch.autocast(drawn.device.type, enabled=False):  # a place needs more than bfloat16's 8 bits
            frames = self.output_bias[:, None, None] + placed(drawn, self.place(moved), self.side)
        return self.output(frames)

    def resume(self, codes: Latents, after: State | None) -> tuple[Float[Tensor, "B T C H H"], None]:
        """Frames of a part; there is no memory."""
        del after
        return self(codes), None


def placed(
    drawn: Float[Tensor, "B C W W"], places: Float[Tensor, "B S 2"], side: int
) -> Float[Tensor, "B S C {side} {side}"]:
    """Pictures on black frames of `side` pixels, bilinearly interpolated.

    Args:
        drawn: One for each clip.
        places: Where its centre is in each frame, (x, y), −1 and 1 at the frame's edges.
        side: Height and width of the frames.
    """
    width = drawn.shape[-1]
    # At the pixel u of a frame is what the picture has at (u − p) · side / width, in units of halves of each.
    scale = side / width
    pixels = (2 * torch.arange(side, device=drawn.device, dtype=drawn.dtype) + 1) / side - 1
    along = scale * (pixels - places[..., None])  # B, S, 2, side
    x, y = along.unbind(2)
    grid = torch.stack(torch.broadcast_tensors(x[:, :, None, :], y[:, :, :, None]), -1)  # B, S, side, side, 2
    rows = grid.flatten(1, 2)  # all frames of a clip as one tall one
    found = functional.grid_sample(drawn, rows, padding_mode="zeros", align_corners=False)
    return found.unflatten(2, (-1, side)).movedim(2, 1)
