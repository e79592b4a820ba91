"""4×4 convolutions of stride 2 and their transposes, which halve and double the side of a frame.

Shapes: N frames, C channels, H×W pixels.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional, grad

SIDE, STRIDE, PADDING = 4, 2, 1
NARROW = 16
"""Channels below which a product of matrices is too thin, and a transposed convolution, too."""
LOW = 8
"""Coarse pixels a side above which oneDNN is faster where the processor has tiles (AMX)."""
TILES = bool(torch.cpu.get_capabilities().get("amx_bf16", False))


class Down(nn.Conv2d):
    """To half the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, SIDE, STRIDE, PADDING)

    def forward(self, maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D _ _"]:
        return _computed(self, maps, self.bias) if _ours(self, maps) else super().forward(maps)


class Up(nn.ConvTranspose2d):
    """To twice the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, SIDE, STRIDE, PADDING)

    def forward(self, maps: Float[Tensor, "N C H W"], output_size: list[int] | None = None) -> Float[Tensor, "N D _ _"]:
        return _computed(self, maps, self.bias) if _ours(self, maps) else super().forward(maps, output_size)

    def unbiased(self, maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D _ _"]:
        """Less the bias, for whoever adds more of the kind: its gradient is a pass over all maps."""
        if _ours(self, maps):
            return _computed(self, maps, None)
        return functional.conv_transpose2d(maps, self.weight, None, STRIDE, PADDING)


def _ours(layer: Down | Up, maps: Tensor) -> bool:
    """Whether `_Strided` computes it: oneDNN is slow at any narrow `Up`, and at most gradients in bfloat16."""
    if maps.device.type != "cpu":
        return False
    if min(layer.in_channels, layer.out_channels) < NARROW:
        return isinstance(layer, Up)
    return torch.is_autocast_enabled("cpu") and torch.is_grad_enabled() and layer.weight.requires_grad


def _computed(layer: Down | Up, maps: Tensor, bias: Tensor | None) -> Tensor:
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else maps.dtype
    parameters = [None if each is None else each.to(dtype) for each in (layer.weight, bias)]
    found: Tensor = _Strided.apply(maps.to(dtype), *parameters, isinstance(layer, Up))  # type: ignore[no-untyped-call]
    return found


class _Strided(torch.autograd.Function):
    """The layer, and each of its gradients, by what is fastest."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, up: bool) -> Tensor:
        ctx.up, ctx.multiplies = up, _multiplies(maps.shape[-1] if up else maps.shape[-1] // STRIDE, weight)
        if min(weight.shape[:2]) < NARROW:
            ctx.save_for_backward(maps, weight)
            found = _pixels(functional.conv2d(maps, between_places(weight), padding=1))
            return found if bias is None else found.add_(bias[:, None, None])
        if up or not ctx.multiplies:
            ctx.save_for_backward(maps, weight)
            convolve = functional.conv_transpose2d if up else functional.conv2d
            return convolve(maps, weight, bias, STRIDE, PADDING)
        windows = _windows(maps)
        ctx.save_for_backward(windows, weight)
        found = _coarse(maps, weight)
        torch.mm(windows, _matrix(weight).t(), out=_rows(found))
        return found if bias is None else found.add_(bias[:, None, None])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        saved, weight = ctx.saved_tensors
        gradient = gradient.to(weight.dtype, memory_format=torch.channels_last)
        of_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        windows = None
        if ctx.multiplies:
            windows = _windows(gradient) if ctx.up else saved
        of_maps = None
        if ctx.needs_input_grad[0]:
            if not ctx.up:
                of_maps = functional.conv_transpose2d(gradient, weight, None, STRIDE, PADDING)
            elif windows is None:
                of_maps = functional.conv2d(gradient, weight, None, STRIDE, PADDING)
            else:
                of_maps = _coarse(gradient, weight)
                torch.mm(windows, _matrix(weight).t(), out=_rows(of_maps))
        of_weight = None
        if ctx.needs_input_grad[1]:
            fine, coarse = (gradient, saved) if ctx.up else (saved, gradient)
            if windows is None:
                of_weight = grad.conv2d_weight(fine, weight.shape, coarse, STRIDE, PADDING)
            else:
                product = _rows(coarse).t() @ windows
                of_weight = product.view(len(weight), SIDE, SIDE, -1).permute(0, 3, 1, 2)
        return of_maps, of_weight, of_bias, None


def between_places(weight: Float[Tensor, "G F 4 4"]) -> Float[Tensor, "Q G 2 2"]:
    """An `Up` as a convolution to the 2×2 pixels between any 2×2 places, Q = 4 F (sub-pixel, Shi et al. 2016).

    Along one side, places p − 1 and p are all that pixels 2p − 1 and 2p depend on: the first by taps 2 and 0, the
    second by 3 and 1. The channels are a row's two pixels, then the next row's.
    """
    kernel = weight.unflatten(3, (2, 2)).unflatten(2, (2, 2)).flip(2, 4)  # in, out, place, pixel and place, pixel
    return kernel.permute(3, 5, 1, 0, 2, 4).flatten(0, 2).contiguous(memory_format=torch.channels_last)


def _pixels(blocks: Float[Tensor, "N Q I I"]) -> Float[Tensor, "N F H W"]:
    """The pixels of `between_places` less those beyond the edges, in float32, laid out as clips are; I is H/2 + 1."""
    side, blocks = blocks.shape[-1] - 1, blocks.unflatten(1, (2, 2, -1))
    dtype = torch.promote_types(blocks.dtype, torch.float32)
    frames = torch.empty(len(blocks), blocks.shape[3], side, 2, side, 2, dtype=dtype)
    for row in (0, 1):
        for column in (0, 1):  # a place's first pixel is the second of those between it and the place before
            shown = blocks[:, 1 - row, 1 - column, :, row : row + side, column : column + side]
            frames[:, :, :, row, :, column] = shown
    return frames.flatten(4).flatten(2, 3)


def _multiplies(side: int, weight: Float[Tensor, "G F 4 4"]) -> bool:
    """Whether a product of matrices is faster than oneDNN, with so many coarse pixels a side."""
    return min(weight.shape[:2]) >= NARROW and not (TILES and side > LOW)


def _windows(fine: Float[Tensor, "N F H W"]) -> Float[Tensor, "P Q"]:
    """The 4×4 fine pixels around each of P coarse pixels, Q = 16 F numbers."""
    fine = functional.pad(fine.movedim(1, -1), (0, 0, PADDING, PADDING, PADDING, PADDING)).contiguous()
    count, height, width, channels = fine.shape
    frame, row, pixel, _ = fine.stride()
    return fine.as_strided(
        (count, height // STRIDE - 1, width // STRIDE - 1, SIDE, SIDE * channels),
        (frame, STRIDE * row, STRIDE * pixel, row, 1),
    ).reshape(-1, SIDE * SIDE * channels)


def _matrix(weight: Float[Tensor, "G F 4 4"]) -> Float[Tensor, "G Q"]:
    """From a window to a coarse pixel."""
    return weight.movedim(1, -1).flatten(1)


def _coarse(fine: Float[Tensor, "N F H W"], weight: Float[Tensor, "G F 4 4"]) -> Float[Tensor, "N G _ _"]:
    """Room for what windows of `fine` give, with channels last."""
    shape = (len(fine), len(weight), fine.shape[2] // STRIDE, fine.shape[3] // STRIDE)
    return torch.empty(shape, dtype=fine.dtype, device=fine.device, memory_format=torch.channels_last)


def _rows(maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "P C"]:
    """Pixel by pixel; no copy of what has channels last."""
    return maps.movedim(1, -1).flatten(0, 2)
