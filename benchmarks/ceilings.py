"""Ceilings: the most operations and bytes a second that a device was seen to do."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch.nn import functional

from benchmarks.clock import times
from benchmarks.machine import CPU
from benchmarks.section import Section
from benchmarks.work import Work
from rwae_core.precision import has_bfloat16

PRECISIONS = (torch.float32, torch.bfloat16)
SIDE = {"cpu": 2048, "cuda": 8192}
"""Rows and columns of the matrices."""
CLIPS, CHANNELS, PIXELS = {"cpu": 32, "cuda": 256}, 128, 32
"""Of the maps that a convolution of 3×3 goes over."""
COPIED = {"cpu": 1 << 28, "cuda": 1 << 32}
"""Bytes of what is copied, which no cache holds."""


@dataclass(frozen=True)
class Ceilings:
    """What a device does at best.

    Attributes:
        product: Operations a second of a matrix product, in each precision that it has instructions for.
        convolution: The same of a convolution.
        copy: Bytes a second, read and written.
    """

    product: Mapping[torch.dtype, float]
    convolution: Mapping[torch.dtype, float]
    copy: float

    def peak(self, precision: torch.dtype) -> float:
        """Operations a second in a precision, or in float32 where it has not that: the better of the two."""
        has = precision if precision in self.product else torch.float32
        return max(self.product[has], self.convolution[has])

    def floor_s(self, work: Work) -> float:
        """Seconds that this work takes at least, those of its operations at the better rate, or of its bytes."""
        computing = sum(flops / self.peak(precision) for precision, flops in work.flops.items())
        return max(computing, work.bytes / self.copy)


def ceilings(device: torch.device) -> Ceilings:
    """Those of a device with as many threads as torch now has, measured once."""
    return _measured(device, torch.get_num_threads())


@functools.cache
@torch.inference_mode()
def _measured(device: torch.device, threads: int) -> Ceilings:
    del threads  # of torch, and part of what was measured
    product, convolution = {}, {}
    for precision in PRECISIONS if has_bfloat16(device) else PRECISIONS[:1]:
        a = torch.rand(SIDE[device.type], SIDE[device.type], dtype=precision, device=device)
        maps = torch.rand(CLIPS[device.type], CHANNELS, PIXELS, PIXELS, dtype=precision, device=device)
        maps = maps.to(memory_format=torch.channels_last)
        kernel = torch.rand(CHANNELS, CHANNELS, 3, 3, dtype=precision, device=device)
        product[precision] = 2 * len(a) ** 3 / min(times(functools.partial(torch.mm, a, a), device))
        work = 2 * maps.numel() * CHANNELS * 9
        convolve = functools.partial(functional.conv2d, maps, kernel, padding=1)
        convolution[precision] = work / min(times(convolve, device))
    source = torch.zeros(COPIED[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Ceilings(product, convolution, 2 * source.nbytes / min(times(lambda: target.copy_(source), device)))


def measure(device: torch.device = CPU) -> Section:
    """The most operations and bytes a second that this device was seen to do."""
    found = ceilings(device)
    rates = {"matrix product": found.product, "convolution": found.convolution}
    rows = {
        f"{what}, {str(precision).removeprefix('torch.')}": {"10⁹ a second": rate / 1e9}
        for what, by_precision in rates.items()
        for precision, rate in by_precision.items()
    }
    return Section({**rows, "bytes copied": {"10⁹ a second": found.copy / 1e9}}, compared="10⁹ a second")
