"""Making variable frame rates even."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rwae_core.media.clip import MAX_FPS, MIN_FPS

DEFAULT_FPS = 25.0
"""For frames that do not say how long they are shown."""


def even(starts: Sequence[float], last_duration: float) -> tuple[NDArray[np.intp], float]:
    """Resamples frames, each shown until the next one's start, to their average rate.

    As many frames come back as went in, however long the gaps: the k-th is the one on screen in the middle of the
    k-th of n equal slots. Frames that are even but for rounded timestamps come back each once, in order.

    Args:
        starts: (n,) seconds, in the order of display.
        last_duration: seconds that the last frame is shown; 0 where unknown, then as long as the others on average.

    Returns:
        Which frame to show in each slot, (n,), and the rate in frames per second.
    """
    times = np.maximum.accumulate(np.asarray(starts, dtype=np.float64))
    count, span = len(times), float(times[-1] - times[0])
    if count == 1:
        return np.arange(1), _bounded(1 / last_duration if last_duration > 0 else DEFAULT_FPS)
    if not 0 < span < np.inf:
        return np.arange(count), DEFAULT_FPS
    slot = (span + (last_duration if last_duration > 0 else span / (count - 1))) / count
    middles = times[0] + (np.arange(count) + 0.5) * slot
    return np.searchsorted(times, middles, side="right") - 1, _bounded(1 / slot)


def _bounded(fps: float) -> float:
    return round(min(max(fps, MIN_FPS), MAX_FPS), 6)  # 25, not 25.000000000000004
