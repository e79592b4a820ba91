"""The modulated decoder as it is computed where nothing is learned: the same function, laid out for a processor.

Shapes: B clips, S frames of each drawn, frames of C×H×W; maps of N frames are N×H×W×K.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.conv import _ConvNd

from rwae_core.decoder import SLOPE, ModulatedDecoder, at_steps, dynamic, modulated
from rwae_core.frames.strided import PADDING, STRIDE, between_places
from rwae_core.latents import Latents
from rwae_core.precision import has_bfloat16

LONG = 32
"""Frames of a clip from which on it is drawn with weights of its own."""
PART = 32
"""Of them at once: on one core, parts of 25 to 50 are drawn fastest."""


def fastest_dtype() -> torch.dtype:
    """What this processor draws frames fastest in: bfloat16 where it has instructions for that, else float32."""
    return torch.bfloat16 if has_bfloat16(torch.device("cpu")) else torch.float32


class PreparedDecoder(nn.Module):
    """The frames of a `ModulatedDecoder`, whose modules it shares where they need no other form.

    Maps lie with channels last, as a processor's convolutions want them, and a modulation runs along whole rows. The
    last transposed convolution has too few channels to be fast: instead a plain one of 2×2 gives the four pixels
    between any four places at once (sub-pixel convolution, Shi et al. 2016).

    What z^c says is computed in float32, the rest in `dtype`. In bfloat16 a value is off by 0.02 at most and by 0.0006
    on average (5 and 0.15 of 255 levels), in float32 by 1e-6. The same codes give the same bits; with other clips in
    the batch a library may add up in another order, in clips of `LONG` frames weights are rounded in place of maps, and
    what is rounded to bfloat16 then may be off by 4 levels.
    """

    def __init__(self, decoder: ModulatedDecoder, dtype: torch.dtype) -> None:
        super().__init__()
        self.content, self.modulations, self.output = decoder.content, decoder.modulations, decoder.output
        hidden, activation, layout, _ = decoder.motion
        self.motion = nn.Sequential(hidden, activation)
        self.layout = _channels_last(cast("nn.Linear", layout), places=16).to(dtype)
        *transposed, last = cast("list[nn.ConvTranspose2d]", list(decoder.convolutions))
        self.convolutions = nn.ModuleList(
            [_laid_out(each.to(dtype)) for each in (*deepcopy(transposed), _between_places(last))]
        )

    def forward(self, codes: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S C H W"]:
        """As of `ModulatedDecoder`."""
        told = at_steps(dynamic(codes), steps)
        content = self.content(codes.z_c)
        modulations = [modulation(content) for modulation in self.modulations]
        hidden = self.motion(told.flatten(0, 1)).to(self.layout.weight.dtype).unflatten(0, told.shape[:2])
        if told.shape[1] < LONG:
            blocks = self._together(hidden.flatten(0, 1), modulations)
        else:
            each = zip(hidden, *modulations, strict=True)
            blocks = torch.cat([self._one_clip(clip, said) for clip, *said in each])
        return self.output(_pixels(blocks.float()).permute(0, 3, 1, 2).unflatten(0, told.shape[:2]))

    def _together(
        self, hidden: Float[Tensor, "N F"], modulations: Sequence[Float[Tensor, "B 2*K"]]
    ) -> Float[Tensor, "N I I Q"]:
        """What `_pixels` takes, of all frames of all clips, layer after layer."""
        maps = self.layout(hidden).unflatten(1, (4, 4, -1))
        for modulation, convolution in zip(modulations, self.convolutions, strict=True):
            scale, shift = modulation.to(maps.dtype).chunk(2, dim=1)
            maps = convolution(modulated(maps, scale, shift).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return maps

    def _one_clip(self, hidden: Float[Tensor, "S F"], modulations: Sequence[Float[Tensor, " 2*K"]]) -> Tensor:
        """The same of many frames of one clip, each modulation as part of the layer that it is of.

        (1 + a) (W x + b) + s = ((1 + a) W) x + ((1 + a) b + s): so many frames are worth other weights, and cost one
        pass over their maps instead of two. Parts of them stay in a cache from one layer to the next.
        """
        first, *more = modulations
        *growing, last = cast("list[_ConvNd]", list(self.convolutions))
        weight, bias = _scaled(self.layout, first.view(2, -1).repeat(1, 16), 0)
        others = [_scaled(layer, said.view(2, -1), 1) for layer, said in zip(growing, more, strict=True)]
        blocks = []
        for part in hidden.split(PART):
            maps = functional.linear(part, weight, bias).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)
            for kernel, offset in others:
                maps = functional.leaky_relu_(maps, SLOPE)
                maps = functional.conv_transpose2d(maps, kernel, offset, STRIDE, PADDING)
            blocks.append(last(functional.leaky_relu_(maps, SLOPE)).permute(0, 2, 3, 1))
        return torch.cat(blocks)

    def resume(self, codes: Latents, after: None) -> tuple[Float[Tensor, "B T C H W"], None]:
        """Frames of a part; there is no memory."""
        return self(codes), None


def _scaled(layer: nn.Linear | _ConvNd, modulation: Float[Tensor, "2 K"], of_outputs: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a layer whose outputs are multiplied by 1 + a, and s added to them; the modulation is (a, s).

    Args:
        layer: What is modulated.
        modulation: Of each of its outputs.
        of_outputs: The dimension of its weight that they are.
    """
    scale, shift = 1 + modulation[0], modulation[1]
    weight, bias = layer.weight, layer.get_parameter("bias")
    scaled = weight * scale.view(-1, *[1] * (weight.ndim - 1 - of_outputs))
    return scaled.to(weight.dtype), (bias * scale + shift).to(bias.dtype)


def _laid_out(layer: _ConvNd) -> _ConvNd:
    """With a kernel as maps with channels last want it."""
    layer.weight = nn.Parameter(layer.weight.contiguous(memory_format=torch.channels_last), False)
    return layer


def _channels_last(layer: nn.Linear, places: int) -> nn.Linear:
    """A layer that gives a map, its K channels one after the other, as one that gives its places so."""
    laid = nn.Linear(layer.in_features, layer.out_features, device="meta")
    laid.weight = nn.Parameter(layer.weight.unflatten(0, (-1, places)).transpose(0, 1).flatten(0, 1), False)
    laid.bias = nn.Parameter(layer.bias.unflatten(0, (-1, places)).t().flatten(), False)
    return laid


def _between_places(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """The last layer as `between_places` has it, its bias for each of the four pixels."""
    plain = nn.Conv2d(layer.in_channels, 4 * layer.out_channels, 2, padding=1, device="meta")
    plain.weight = nn.Parameter(between_places(layer.weight), False)
    plain.bias = nn.Parameter(layer.get_parameter("bias").repeat(4), False)
    return plain


def _pixels(blocks: Float[Tensor, "N I I Q"]) -> Float[Tensor, "N H W C"]:
    """The pixels of `between_places`, less those beyond the edges, as films have them; I is H/2 + 1, Q is 4C."""
    frames, count = len(blocks), blocks.shape[1]
    rows = blocks.reshape(frames, count, count, 2, -1).transpose(2, 3)
    return rows.reshape(frames, 2 * count, 2 * count, -1)[:, 1:-1, 1:-1]
