"""Mel cepstra of waves, and how far two of them are apart once they are aligned in time.

Shapes: n samples, N and M columns of D cepstral coefficients in dB.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from rwae_core.speech.spectrum import STFT, SpectrumConfig

ANALYSIS = SpectrumConfig(window=512, hop=160)
"""Windows of 32 ms every 10 ms, not those that the models see."""
BANDS = 40
COEFFICIENTS = 13
RANGE_DB = 60.0


def mel_cepstra(wave: Float[Tensor, " n"], coefficients: int = COEFFICIENTS) -> Float[Tensor, "N D"]:
    """Coefficients 1 … D of the cosine transform of log mel levels; without the 0th they are the same at any loudness.

    They are scaled so that the Euclidean distance of two columns is the mel-cepstral distance in dB,
    10√2 / ln 10 · ‖c − c′‖ of log-amplitude cepstra (Kubichek 1993): the root mean square over the 40 bands of the
    difference of their smoothed levels. What lies more than 60 dB below the loudest band of the wave is silence: there
    the hiss of a recorder would count as much as speech.
    """
    power = STFT(ANALYSIS, len(wave), wave.device)(wave[None].float())[0].abs().square()
    levels = 10 * (power @ _filters().to(power) + 1e-12).log10()
    return levels.clamp(min=levels.max() - RANGE_DB) @ _cosines()[1 : 1 + coefficients].T.to(power)


def loud(wave: Float[Tensor, " n"], within_db: float = 30.0) -> Tensor:
    """Which columns of `mel_cepstra` are speech: those within 30 dB of the loudest."""
    power = STFT(ANALYSIS, len(wave), wave.device)(wave[None].float())[0].abs().square().sum(1)
    return power > power.max() * 10 ** (-within_db / 10)


def aligned_distance(a: Float[Tensor, "N D"], b: Float[Tensor, "M D"]) -> float:
    """The mean distance in dB along the path that aligns two sequences best (dynamic time warping).

    The path goes from both beginnings to both ends in steps of one column of either or of both; of all, it has the
    smallest sum of Euclidean distances. All cells on which neither sequence lies further ahead, an anti-diagonal, are
    computed at once from the two before.
    """
    exact = "donot_use_mm_for_euclid_dist"  # of equal columns exactly 0
    distances = torch.cdist(a.double().cpu(), b.double().cpu(), compute_mode=exact).numpy()
    rows, columns = distances.shape
    diagonals = np.fliplr(distances)
    # Row i of a diagonal stands at i + 1; before the first row all is infinitely far but where the path begins.
    beyond = np.full(rows + 1, np.inf)
    totals, lengths = (beyond.copy(), beyond), (np.zeros(rows + 1), np.zeros(rows + 1))
    totals[0][0] = 0
    for diagonal in range(rows + columns - 1):
        first, last = max(0, diagonal - columns + 1), min(rows, diagonal + 1)
        same, next_ = slice(first, last), slice(first + 1, last + 1)
        best, steps = totals[0][same], lengths[0][same]
        for way in (same, next_):
            shorter = totals[1][way] < best
            best, steps = np.where(shorter, totals[1][way], best), np.where(shorter, lengths[1][way], steps)
        total, length = beyond.copy(), np.zeros(rows + 1)
        np.add(diagonals.diagonal(columns - 1 - diagonal), best, out=total[next_])
        np.add(steps, 1, out=length[next_])
        totals, lengths = (totals[1], total), (lengths[1], length)
    return float(totals[1][-1] / lengths[1][-1])


@cache
def _filters() -> Float[Tensor, "F 40"]:
    """Triangles between neighbouring centres, evenly spaced in mel from 0 to 8 kHz, of equal area."""
    half = ANALYSIS.sample_rate / 2
    edges = 700 * (np.expm1(np.linspace(0, math.log1p(half / 700), BANDS + 2)))
    bins = np.linspace(0, half, ANALYSIS.window // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles: NDArray[np.float64] = np.clip(np.minimum(rising, falling), 0, None)
    return torch.from_numpy(triangles / triangles.sum(0))


@cache
def _cosines() -> Float[Tensor, "40 40"]:
    """The orthonormal cosine transform over √40, by row."""
    order, band = torch.arange(BANDS, dtype=torch.float64)[:, None], torch.arange(BANDS, dtype=torch.float64)
    rows = (math.pi * order * (band + 0.5) / BANDS).cos() * math.sqrt(2) / BANDS
    rows[0] /= math.sqrt(2)
    return rows
