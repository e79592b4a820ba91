"""Phases for magnitudes that came without: a start from which few Griffin-Lim iterations are left to do.

Shapes: B clips, T columns, K bins.
"""

from __future__ import annotations

from math import log, pi

import torch
from jaxtyping import Float
from torch import Tensor

from rwae_core.gaussian import Generators, standard_normal
from rwae_core.speech.spectrum import SpectrumConfig

HANN_GAMMA = 0.25645
"""γ / window² of the Gaussian e^(−πn²/γ) that is nearest to a Hann window (Průša, Balazs & Søndergaard 2017)."""


def estimated_phase(
    spectrum: Float[Tensor, "B T K"], config: SpectrumConfig, generator: Generators | None = None
) -> Float[Tensor, "B T K"]:
    """Phases in radians at each window's centre, integrated from the slopes that the magnitudes imply.

    With a Gaussian window e^(−πn²/γ), the magnitude s and the phase φ of column t and bin k belong together by
    ∂φ/∂t = 2π·hop·k / window + hop·window / γ · ∂ ln s/∂k and ∂φ/∂k = −γ / (hop·window) · ∂ ln s/∂t
    (Průša, Balazs & Søndergaard 2017). Their heap visits one bin after the other. Here each bin names the one that it
    takes its phase from: its larger neighbour within the column, up to a local peak; a peak the same bin one column
    before. All these links are followed at once, twice as far each time: log₂ of the longest chain steps.

    Those equations also say window² / γ · ∂² ln s/∂k² + γ / hop² · ∂² ln s/∂t² = −2π (ln s is harmonic but for the
    window's share) wherever s is not 0. A model's averages are flatter. The less there is of half of this curvature,
    the more of the phase is drawn at random: a smooth hiss would become a click in every column.

    Args:
        spectrum: As `analyse` returns it.
        config: What a column is.
        generator: Source of the random part, one, or one for each clip.
    """
    hop, window = config.hop, config.window
    gamma = HANN_GAMMA * window**2
    # From the values, which are logarithms already: silence ends at the floor, where the logarithm of 0 has no slope.
    level = spectrum.float().clamp(0, 1) * (-config.floor_db / 20 * log(10))
    before, after = _neighbours(level, 1)
    below, above = _neighbours(level, 2)
    bins = torch.arange(1, config.bins + 1, device=level.device)
    in_time = (hop * bins % window) * (2 * pi / window) + hop * window / gamma * (above - below) / 2
    in_frequency = -gamma / (hop * window) * (after - before) / 2
    curvature = window**2 / gamma * (above + below - 2 * level) + gamma / hop**2 * (after + before - 2 * level)
    flatness = (1 + curvature / pi).clamp(0, 1)

    to_above = (above > level) & (above >= below)
    to_below = (below > level) & ~to_above
    from_before = ~(to_above | to_below)
    place = torch.arange(level[0].numel(), device=level.device).view(level.shape[1:]).expand(level.shape)
    source = torch.where(to_above, place + 1, torch.where(to_below, place - 1, place - config.bins)).flatten(1)
    source = torch.where(source < 0, place.flatten(1), source)  # peaks of the first column
    from_below = (in_frequency + in_frequency.roll(1, 2)) / 2
    step = torch.where(to_above, -from_below.roll(-1, 2), from_below)
    step = torch.where(from_before, (in_time + in_time.roll(1, 1)) / 2, step).flatten(1)
    step = step.masked_fill(source == place.flatten(1), 0)
    while True:
        step = (step + step.gather(1, source)) % (2 * pi)
        further = source.gather(1, source)
        if torch.equal(further, source):
            break
        source = further
    return step.view(level.shape) + pi * flatness * standard_normal(level.shape, generator, level)


def _neighbours(values: Float[Tensor, "B T K"], axis: int) -> tuple[Float[Tensor, "B T K"], Float[Tensor, "B T K"]]:
    """The element before and the one after each along an axis; at its ends, the element itself."""
    count = values.shape[axis]
    first, last = values.narrow(axis, 0, 1), values.narrow(axis, count - 1, 1)
    before = torch.cat([first, values.narrow(axis, 0, count - 1)], axis)
    return before, torch.cat([values.narrow(axis, 1, count - 1), last], axis)
