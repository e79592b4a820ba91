"""The generator G: x_t from (z^c, z^m_t) and, where the model has one, the action a; deterministic.

Shapes: B clips, T steps, S of them drawn, Dc content and Dm motion dimensions, frames of any shape.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.frames import frame_decoder
from rwae_core.frames.output import Output
from rwae_core.frames.strided import Up
from rwae_core.latents import Latents
from rwae_core.motion import State
from rwae_core.precision import at_least_single

SLOPE = 0.2
"""Of the leaky ReLU below 0."""


class ModulatedDecoder(nn.Module):
    """z^m_t lays a frame out, z^c says what is in it: features of each scale are scaled and shifted by z^c.

    Transposed convolutions grow a map from z^m_t (and a) alone; after each, channel k becomes
    (1 + a_k(z^c)) · k + b_k(z^c) (FiLM, Perez et al. 2018). z^c acts on all places and frames alike, so it cannot say
    where something is. Each frame is drawn from its own z^m_t, without memory.
    """

    def __init__(self, config: ModelConfig, networks: SimpleFrames) -> None:
        super().__init__()
        hidden, widths = config.hidden_dim, networks.decoder_widths
        self.content = nn.Sequential(nn.Linear(config.content_dim, hidden), nn.LeakyReLU(0.2))
        self.motion = nn.Sequential(
            nn.Linear(config.motion_dim + config.actions, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, widths[0] * 16),
            nn.Unflatten(1, (widths[0], 4, 4)),
        )
        self.modulations = nn.ModuleList([nn.Linear(hidden, 2 * width) for width in widths])
        self.convolutions = nn.ModuleList(
            [Up(before, after) for before, after in zip(widths, (*widths[1:], networks.channels), strict=True)]
        )
        self.output = Output(networks.output)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.convolutions[-1].get_parameter("bias")

    def forward(self, codes: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S *frame"]:
        layout = at_steps(dynamic(codes), steps)
        content = self.content(codes.z_c)
        maps, bias = self.motion(layout.flatten(0, 1)), None
        for modulation, convolution in zip(self.modulations, self.convolutions, strict=True):
            scale, shift = modulation(content).chunk(2, dim=1)
            if bias is not None:  # here it costs no pass over the maps, nor does its gradient
                shift = (shift + (1 + scale) * bias).to(maps.dtype)
            maps = modulated(maps.permute(0, 2, 3, 1), scale, shift).permute(0, 3, 1, 2)
            maps, bias = cast("Up", convolution).unbiased(maps), convolution.get_parameter("bias")
        frames = at_least_single(maps) + cast("Tensor", bias)[:, None, None]
        return self.output(frames.unflatten(0, layout.shape[:2]))

    def resume(self, codes: Latents, after: State | None) -> tuple[Float[Tensor, "B T *frame"], None]:
        """Frames of a part; there is no memory."""
        return self(codes), None


def modulated(
    maps: Float[Tensor, "N H W K"], scale: Float[Tensor, "B K"], shift: Float[Tensor, "B K"]
) -> Float[Tensor, "N H W K"]:
    """(1 + a_k) · k + b_k of each clip's maps and a leaky ReLU, along whole rows, which processors like.

    Args:
        maps: Of N / B frames of each clip, in any layout; those with channels last are not copied.
        scale: a, of each clip and channel.
        shift: b.
    """
    rows = maps.reshape(len(scale), -1, maps.shape[2] * maps.shape[3])  # of all frames of a clip
    factor, offset = (each.repeat(1, maps.shape[2])[:, None] for each in (1 + scale, shift))
    found: Tensor = _Modulated.apply(rows, factor, offset)  # type: ignore[no-untyped-call]
    return found.view(maps.shape)


class _Modulated(torch.autograd.Function):
    """Leaky ReLU of f · r + o, whose gradients torch would take half as many passes again for."""

    @staticmethod
    def forward(
        ctx: Any, rows: Float[Tensor, "B R W"], factor: Float[Tensor, "B 1 W"], offset: Float[Tensor, "B 1 W"]
    ) -> Float[Tensor, "B R W"]:
        found = functional.leaky_relu_(torch.addcmul(offset, rows, factor), SLOPE)
        ctx.save_for_backward(rows, factor, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        rows, factor, found = ctx.saved_tensors
        before = torch.ops.aten.leaky_relu_backward(gradient, found, SLOPE, True)
        of_rows, of_offset = before * factor, before.sum(1, keepdim=True)
        return of_rows, before.mul_(rows).sum(1, keepdim=True), of_offset


class Decoder(nn.Module):
    """FC on (z^c, z^m_t, a), an LSTM over time (the paper's) or an FC layer of each frame alone, a frame decoder.

    The memoryless form cannot replay a motion that it was not told by z^m_t, so motion has to be in z^m.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        dims = config.content_dim + config.motion_dim + config.actions
        self.codes = nn.Sequential(nn.Linear(dims, hidden), nn.LeakyReLU(0.2))
        self.recurrent = config.decoder == "recurrent"
        if self.recurrent:
            self.lstm = nn.LSTM(hidden, hidden, batch_first=True)
        else:
            self.memoryless = nn.Sequential(nn.Linear(hidden, hidden), nn.LeakyReLU(0.2))
        self.frames = frame_decoder(config.frame_networks, hidden)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The frame decoder's last bias, before the sigmoid."""
        return self.frames.output_bias

    def forward(self, codes: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S *frame"]:
        return self._drawn(at_steps(self._hidden(codes, None)[0], steps))

    def resume(self, codes: Latents, after: State | None) -> tuple[Float[Tensor, "B T *frame"], State | None]:
        """Frames of a part, and the LSTM's state after it, where there is one."""
        hidden, state = self._hidden(codes, after)
        return self._drawn(hidden), state

    def _hidden(self, codes: Latents, after: State | None) -> tuple[Float[Tensor, "B T H"], State | None]:
        length = codes.z_m.shape[1]
        inputs = self.codes(torch.cat([codes.z_c[:, None].expand(-1, length, -1), dynamic(codes)], dim=-1))
        if not self.recurrent:
            return self.memoryless(inputs), None
        layers = None if after is None else (after.hidden[None], after.cell[None])
        hidden, (last, cell) = self.lstm(inputs, layers)
        return hidden, State(last[0], cell[0])

    def _drawn(self, hidden: Float[Tensor, "B S H"]) -> Float[Tensor, "B S *frame"]:
        return self.frames(hidden.flatten(0, 1)).unflatten(0, hidden.shape[:2])


def dynamic(codes: Latents) -> Float[Tensor, "B T D"]:
    """What a frame is told of itself: z^R_t = (z^m_t, a) (section 3.4)."""
    if codes.action is None:
        return codes.z_m
    return torch.cat([codes.z_m, codes.action[:, None].expand(-1, codes.z_m.shape[1], -1)], dim=-1)


def at_steps(sequence: Float[Tensor, "B T D"], steps: Int[Tensor, "B S"] | None) -> Float[Tensor, "B S D"]:
    """The steps of each clip that are asked for; all where absent."""
    return sequence if steps is None else sequence[torch.arange(len(steps), device=steps.device)[:, None], steps]
