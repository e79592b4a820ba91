"""The modulated decoder as it is computed where nothing is learned: the same function, laid out for a processor.

Shapes: B clips, S frames of each drawn, frames of C×H×W; maps of N frames are N×H×W×K.
"""

from __future__ import annotations

from copy import deepcopy
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import skip_init

from rwae_core.decoder import ModulatedDecoder, at_steps, dynamic, modulated
from rwae_core.latents import Latents
from rwae_core.precision import has_bfloat16


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
    the batch a library may add up in another order, and what is then rounded to bfloat16 be off by 3 levels.
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
        maps = self.layout(self.motion(told.flatten(0, 1)).to(self.layout.weight.dtype)).unflatten(1, (4, 4, -1))
        for modulation, convolution in zip(self.modulations, self.convolutions, strict=True):
            scale, shift = modulation(content).to(maps.dtype).chunk(2, dim=1)
            maps = convolution(modulated(maps, scale, shift).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return self.output(_pixels(maps.float()).permute(0, 3, 1, 2).unflatten(0, told.shape[:2]))

    def resume(self, codes: Latents, after: None) -> tuple[Float[Tensor, "B T C H W"], None]:
        """Frames of a part; there is no memory."""
        return self(codes), None


def _laid_out(layer: _ConvNd) -> _ConvNd:
    """With a kernel as maps with channels last want it."""
    layer.weight = nn.Parameter(layer.weight.contiguous(memory_format=torch.channels_last), False)
    return layer


def _channels_last(layer: nn.Linear, places: int) -> nn.Linear:
    """A layer that gives a map, its K channels one after the other, as one that gives its places so."""
    laid = skip_init(nn.Linear, layer.in_features, layer.out_features)
    laid.weight = nn.Parameter(layer.weight.unflatten(0, (-1, places)).transpose(0, 1).flatten(0, 1), False)
    laid.bias = nn.Parameter(layer.bias.unflatten(0, (-1, places)).t().flatten(), False)
    return laid


def _between_places(layer: nn.ConvTranspose2d) -> nn.Conv2d:
    """A transposed convolution of 4×4, stride 2 and padding 1, as one to the 2×2 pixels between any 2×2 places.

    Along one side, places p − 1 and p are all that pixels 2p − 1 and 2p depend on: the first by taps 2 and 0, the
    second by 3 and 1. The channels are a row's two pixels, then the next row's.
    """
    taps = torch.tensor([[2, 0], [3, 1]])
    kernel = layer.weight[:, :, taps][..., taps]  # in, out, pixel, place and pixel, place along both sides
    plain = skip_init(nn.Conv2d, layer.in_channels, 4 * layer.out_channels, 2, padding=1)
    plain.weight = nn.Parameter(kernel.permute(2, 4, 1, 0, 3, 5).flatten(0, 2), False)
    plain.bias = nn.Parameter(layer.get_parameter("bias").repeat(4), False)
    return plain


def _pixels(blocks: Float[Tensor, "N I I Q"]) -> Float[Tensor, "N H W C"]:
    """The pixels of `_between_places`, less those beyond the edges; I is H/2 + 1, Q is 4C."""
    frames, count = len(blocks), blocks.shape[1]
    rows = blocks.reshape(frames, count, count, 2, -1).transpose(2, 3)
    return rows.reshape(frames, 2 * count, 2 * count, -1)[:, 1:-1, 1:-1]
