"""Waves from log-magnitude spectra, with the phase of another wave or without any.

Shapes: B clips of N samples in [−1, 1], T = ⌈N / hop⌉ columns, K bins in [0, 1] (F = K + 1 with the one at 0 Hz).
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch.nn import functional

from rwae_core.errors import ShapeError
from rwae_core.gaussian import Generators
from rwae_core.speech.phase import estimated_phase
from rwae_core.speech.spectrum import STFT, SpectrumConfig, magnitudes

LOUDEST_GAIN = 10.0
"""20 dB: more would only raise noise."""

MOMENTUM = 0.99
"""α of the fast Griffin-Lim algorithm, as its authors found best."""


@torch.no_grad()
def synthesise(
    spectrum: Float[Tensor, "B T K"],
    samples: int,
    config: SpectrumConfig,
    *,
    phase_of: Float[Tensor, "B N"] | None = None,
    generator: Generators | None = None,
    iterations: int = 32,
) -> Float[Tensor, "B N"]:
    """Waves with these spectra, as loud as these say.

    Phases start as those of `phase_of` (in a swap: motion's source), or as `estimated_phase` where that is absent or
    silent, and are refined by fast Griffin-Lim: magnitudes and waves pull in turns. The bin at 0 Hz, which a spectrum
    leaves out, is whatever its neighbours make of it.

    Args:
        spectrum: Values in [0, 1] as `analyse` returns them.
        samples: N. A spectrum has ⌈N / hop⌉ columns.
        config: What a column is.
        phase_of: Waves as long as the result.
        generator: Source of the random phases where phases are estimated: one, or one for each clip, whose wave then
            does not depend on its neighbours.
        iterations: Of Griffin-Lim; each costs 0.3 ms for a second of sound on one core.

    Returns:
        float32 on the spectrum's device. Spectra that no model of speech makes, loud in every bin, exceed ±1.

    Raises:
        ShapeError: `samples` or `phase_of` does not belong to a spectrum of this shape.
    """
    expected = (len(spectrum), config.columns(samples), config.bins)
    if spectrum.shape != expected:
        raise ShapeError(f"{samples} samples have a spectrum of {expected}, not {tuple(spectrum.shape)}")
    if phase_of is not None and phase_of.shape != (len(spectrum), samples):
        raise ShapeError(f"phase_of is {tuple(phase_of.shape)}; it must be {(len(spectrum), samples)}")
    transform = STFT(config, samples, spectrum.device)
    start = None if phase_of is None else transform(phase_of.to(spectrum.device).float())
    if start is None or not start[..., 1:].all():
        estimate = _centred(estimated_phase(spectrum, config, generator))
        start = estimate if start is None else torch.where(start == 0, estimate, start)
    return _fast_griffin_lim(start, magnitudes(spectrum, config), transform, iterations)


def as_loud_as(wave: Float[Tensor, "B N"], source: Float[Tensor, "B M"]) -> Float[Tensor, "B N"]:
    """Waves with the root mean square of others: in a swap, of motion's source, for how loud is how it is said.

    A model's spectra are means of logarithms, which are too quiet where it is unsure. Silence stays silence.
    """
    levels = [each.square().mean(1, keepdim=True).sqrt() for each in (source, wave)]
    return wave * (levels[0] / levels[1].clamp_min(torch.finfo(wave.dtype).tiny)).clamp(max=LOUDEST_GAIN)


def _fast_griffin_lim(
    start: Complex[Tensor, "B T F"], magnitude: Float[Tensor, "B T K"], transform: STFT, iterations: int
) -> Float[Tensor, "B N"]:
    """Fast Griffin-Lim (Perraudin, Balazs & Søndergaard 2013): c ← t + α (t − t′).

    t is the STFT of the wave that is nearest to c once c has the wanted magnitudes, t′ the t before.
    """
    coefficients = _with_magnitudes(start, magnitude)
    before = None
    for _ in range(iterations):
        consistent = transform(transform.inverse(coefficients))
        ahead = consistent if before is None else torch.lerp(before, consistent, 1 + MOMENTUM)
        coefficients, before = _with_magnitudes(ahead, magnitude), consistent
    return transform.inverse(coefficients)


def _with_magnitudes(
    coefficients: Complex[Tensor, "B T F"], magnitude: Float[Tensor, "B T K"]
) -> Complex[Tensor, "B T F"]:
    """The same phases with other magnitudes; the coefficient at 0 Hz, which has none to match, stays."""
    gain = magnitude / coefficients[..., 1:].abs().clamp_min(torch.finfo(magnitude.dtype).tiny)
    return coefficients * functional.pad(gain, (1, 0), value=1.0)


def _centred(phase: Float[Tensor, "B T K"]) -> Complex[Tensor, "B T F"]:
    """e^(iφ), turned from phases at a window's centre to its first sample: by half a turn in every other bin."""
    turned = torch.polar(torch.ones_like(phase), phase)
    turned[..., ::2] *= -1
    return functional.pad(turned, (1, 0))
