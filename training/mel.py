"""Bands as wide as hearing tells apart, for errors of spectra that count what is heard.

Shapes: K bins of a spectrum, M bands.
"""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

BANDS = 32
NYQUIST_HZ = 8000.0


@cache
def mel_bands(bins: int, device: torch.device | None = None) -> Float[Tensor, "K M"]:
    """What a mean over each of 32 bands takes of each bin: triangles, evenly spaced in mel, each of which sums to 1.

    mel(f) = 2595 log₁₀(1 + f / 700). Bins are evenly spaced up to 8 kHz, without the one at 0 Hz; a band that is too
    narrow to hold one is the bin next to its centre.
    """
    top = torch.tensor(NYQUIST_HZ, dtype=torch.float64)
    edges = 700 * torch.expm1(torch.linspace(0, 1, BANDS + 2, dtype=torch.float64) * torch.log1p(top / 700))
    frequency = (NYQUIST_HZ / bins * torch.arange(1, bins + 1, dtype=torch.float64))[:, None]
    rising = (frequency - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequency) / (edges[2:] - edges[1:-1])
    bands = torch.minimum(rising, falling).clamp(min=0)
    bands[(frequency - edges[1:-1]).abs().argmin(0), torch.arange(BANDS)] += 1e-3
    return (bands / bands.sum(0)).float().to(device)
