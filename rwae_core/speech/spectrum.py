"""The log-magnitude spectrum that speech models see.

Shapes: B clips of N samples in [−1, 1], T = ⌈N / hop⌉ columns, K bins in [0, 1] (F = K + 1 with the one at 0 Hz).
"""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Complex, Float
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn import functional

from rwae_core.errors import ShapeError


class SpectrumConfig(BaseModel):
    """What a column of a spectrum is: stored with the weights of a speech model, whose input it defines.

    The defaults are the analysis of FHVAE (Hsu et al. 2017), which the paper follows: Hann windows of 25 ms every
    10 ms, a DFT of the window's 400 samples. Of its 201 bins the one at 0 Hz is left out, for it holds a recorder's
    offset and no speech; the 200 left are 40 Hz apart, from 40 Hz to 8 kHz.

    0 dB is the largest magnitude that a wave in [−1, 1] can have, Σw, so no wave of a file is cut off above (a sine
    of full scale has −6 dB). What lies below `floor_db` is silence: speech is 20 to 70 dB above, the noise of
    rounding to 16 bits 25 dB below.

    Attributes:
        sample_rate: samples a second.
        hop: samples from one column to the next.
        window: samples that a column sees.
        floor_db: the level that becomes 0; 0 dB becomes 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample_rate: Annotated[int, Field(ge=1000, le=192_000)] = 16_000
    hop: Annotated[int, Field(ge=1, le=4096)] = 160
    window: Annotated[int, Field(ge=2, le=8192)] = 400
    floor_db: Annotated[float, Field(ge=-200, lt=0)] = -100.0

    @model_validator(mode="after")
    def _windows_overlap(self) -> SpectrumConfig:
        if self.window % 2 or self.hop % 2 or self.window < 2 * self.hop:
            raise ValueError(
                f"window is {self.window} and hop {self.hop}; both must be even and the window two hops or longer, "
                "such as 400 and 160"
            )
        return self

    @property
    def bins(self) -> int:
        """K, without the bin at 0 Hz."""
        return self.window // 2

    @property
    def fps(self) -> float:
        """Columns a second."""
        return self.sample_rate / self.hop

    def columns(self, samples: int) -> int:
        """T = ⌈N / hop⌉: column t is centred on the t-th hop, so 3,200 samples (200 ms) are 20 columns exactly."""
        return -(-samples // self.hop)


class STFT:
    """The short-time Fourier transform of waves of `samples` samples, and the wave that fits one best.

    Column t is X(t, k) = Σ_n w(n) x(n + t·hop − lead) e^(−2πikn/window) with lead = (window − hop) / 2: its window is
    centred on samples t·hop … (t + 1)·hop − 1. Beyond its ends a wave is silent.

    Raises:
        ShapeError: there is no sample.
    """

    def __init__(self, config: SpectrumConfig, samples: int, device: torch.device) -> None:
        if samples < 1:
            raise ShapeError(f"a wave of {samples} samples has no spectrum; give at least 1")
        self.config = config
        self.samples = samples
        self.window = torch.hann_window(config.window, device=device)
        self._lead = (config.window - config.hop) // 2
        self._columns = config.columns(samples)
        # Every sample lies within half a hop of a window's centre, where w ≥ ½: dividing by this is safe everywhere.
        self._overlap = self._overlap_add(self.window.square().expand(1, self._columns, -1))

    def __call__(self, wave: Float[Tensor, "B N"]) -> Complex[Tensor, "B T F"]:
        """X of these waves."""
        end = self._columns * self.config.hop + self._lead
        padded = functional.pad(wave, (self._lead, end - self.samples))
        return torch.fft.rfft(padded.unfold(1, self.config.window, self.config.hop) * self.window)

    def inverse(self, coefficients: Complex[Tensor, "B T F"]) -> Float[Tensor, "B N"]:
        """The wave whose STFT is nearest in squared error: Σ_t w·x_t / Σ_t w² (Griffin & Lim 1984)."""
        pieces = torch.fft.irfft(coefficients, n=self.config.window)
        return self._overlap_add(pieces * self.window) / self._overlap

    def _overlap_add(self, pieces: Float[Tensor, "B T window"]) -> Float[Tensor, "B N"]:
        """Sums pieces a hop apart. Each is cut into hops, so that the j-th hops of all are added in one step."""
        hop = self.config.hop
        hops = -(-self.config.window // hop)
        pieces = functional.pad(pieces, (0, hops * hop - self.config.window)).unflatten(2, (hops, hop))
        total = pieces.new_zeros(len(pieces), self._columns + hops - 1, hop)
        for j in range(hops):
            total[:, j : j + self._columns] += pieces[:, :, j]
        return total.flatten(1)[:, self._lead : self._lead + self.samples]


def analyse(wave: Float[Tensor, "B N"], config: SpectrumConfig) -> Float[Tensor, "B T K"]:
    """The log-magnitude spectrum of waves, v = 1 − 20 log₁₀(|X| / Σw) / floor_db kept within [0, 1].

    Args:
        wave: Samples in [−1, 1] at the config's sample rate, N ≥ 1. What is louder is kept at 1.
        config: What a column is.

    Returns:
        float32 on the wave's device: T = ⌈N / hop⌉ columns, bin k at (k + 1) · sample_rate / window Hz.

    Raises:
        ShapeError: there is no sample.
    """
    transform = STFT(config, wave.shape[1], wave.device)
    magnitude = transform(wave.float())[..., 1:].abs() / transform.window.sum()
    return (1 - magnitude.log10() * (20 / config.floor_db)).clamp(0, 1)


def magnitudes(spectrum: Float[Tensor, "B T K"], config: SpectrumConfig) -> Float[Tensor, "B T K"]:
    """|X| = Σw · 10^(floor_db (1 − v) / 20), the inverse of `analyse`'s scale; 0 where v is 0, as that is silence."""
    full_scale = torch.hann_window(config.window).sum().item()
    values = spectrum.float().clamp(0, 1)
    return torch.where(values > 0, full_scale * 10 ** ((1 - values) * (config.floor_db / 20)), 0.0)
