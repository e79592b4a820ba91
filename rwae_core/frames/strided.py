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
"""Channels below which a product of matrices is too thin."""
LOW = 8
"""Coarse pixels a side above which oneDNN is faster where the processor has tiles (AMX)."""
TILES = bool(torch.cpu.get_capabilities().get("amx_bf16", False))
PARTS = 4
"""Into which the sum over pixels is divided: four small products share the cores better than a long thin one."""


class Down(nn.Conv2d):
    """To half the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, SIDE, STRIDE, PADDING)

    def forward(self, maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D _ _"]:
        return _learning(self, maps, self.bias) if _learns(self, maps) else super().forward(maps)


class Up(nn.ConvTranspose2d):
    """To twice the side."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(before, after, SIDE, STRIDE, PADDING)

    def forward(self, maps: Float[Tensor, "N C H W"], output_size: list[int] | None = None) -> Float[Tensor, "N D _ _"]:
        return _learning(self, maps, self.bias) if _learns(self, maps) else super().forward(maps, output_size)

    def unbiased(self, maps: Float[Tensor, "N C H W"]) -> Float[Tensor, "N D _ _"]:
        """Less the bias, for whoever adds more of the kind: its gradient is a pass over all maps."""
        if _learns(self, maps):
            return _learning(self, maps, None)
        return functional.conv_transpose2d(maps, self.weight, None, STRIDE, PADDING)


def _learns(layer: Down | Up, maps: Tensor) -> bool:
    """Whether weights learn on a processor in bfloat16, where oneDNN's gradients of most of them are slow."""
    return (
        (isinstance(layer, Up) or min(layer.in_channels, layer.out_channels) >= NARROW)
        and maps.device.type == "cpu"
        and torch.is_autocast_enabled("cpu")
        and torch.is_grad_enabled()
        and layer.weight.requires_grad
    )


def _learning(layer: Down | Up, maps: Tensor, bias: Tensor | None) -> Tensor:
    parameters = [None if each is None else each.to(torch.bfloat16) for each in (layer.weight, bias)]
    found: Tensor = _Strided.apply(maps.to(torch.bfloat16), *parameters, isinstance(layer, Up))  # type: ignore[no-untyped-call]
    return found


class _Strided(torch.autograd.Function):
    """The layer, each of its gradients by what is fastest."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, bias: Tensor | None, up: bool) -> Tensor:
        ctx.save_for_backward(maps, weight)
        ctx.up = up
        convolve = functional.conv_transpose2d if up else functional.conv2d
        return convolve(maps, weight, bias, STRIDE, PADDING)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None, None]:
        maps, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        of_maps = None
        if ctx.needs_input_grad[0]:
            back = functional.conv2d if ctx.up else functional.conv_transpose2d
            of_maps = back(gradient, weight, None, STRIDE, PADDING)
        fine, coarse = (gradient, maps) if ctx.up else (maps, gradient)
        of_bias = gradient.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None
        return of_maps, _of_weight(fine, coarse, weight), of_bias, None


def _of_weight(
    fine: Float[Tensor, "N F _ _"], coarse: Float[Tensor, "N G _ _"], weight: Float[Tensor, "G F 4 4"]
) -> Float[Tensor, "G F 4 4"]:
    """Σ over frames and coarse pixels of each coarse channel × the 4×4 fine pixels around it, of each fine channel."""
    few, tiles_pay = min(weight.shape[:2]) < NARROW, TILES and coarse.shape[-1] > LOW
    if few or tiles_pay:
        return grad.conv2d_weight(fine, weight.shape, coarse, STRIDE, PADDING)
    return _product(fine, coarse)


def _product(fine: Float[Tensor, "N F _ _"], coarse: Float[Tensor, "N G _ _"]) -> Float[Tensor, "G F 4 4"]:
    """The same as a product of matrices, which takes half as long as oneDNN's where it is fast at all."""
    rows = coarse.movedim(1, -1).flatten(0, 2)
    fine = functional.pad(fine.movedim(1, -1), (0, 0, PADDING, PADDING, PADDING, PADDING)).contiguous()
    count, height, width, channels = fine.shape
    frame, row, pixel, _ = fine.stride()
    windows = fine.as_strided(
        (count, height // STRIDE - 1, width // STRIDE - 1, SIDE, SIDE * channels),
        (frame, STRIDE * row, STRIDE * pixel, row, 1),
    ).reshape(len(rows), -1)
    parts = PARTS if len(rows) % PARTS == 0 else 1
    summed = rows.unflatten(0, (parts, -1)).transpose(1, 2) @ windows.unflatten(0, (parts, -1))
    return summed.sum(0).view(-1, SIDE, SIDE, channels).permute(0, 3, 1, 2)
