"""How fast a device has been of late."""

from __future__ import annotations

import math

FADES_S = 20.0
"""Busy seconds after which a pass weighs 1/e."""
ASSUMED_FRAMES = 100.0
"""Frames of a first second that was never measured."""


class Pace:
    """Frames a second of a device while it was busy, the last passes weighing most.

    Attributes:
        busy_s: Seconds that it was busy, in all.
    """

    def __init__(self) -> None:
        self.busy_s = 0.0
        self._frames, self._seconds = ASSUMED_FRAMES, 1.0

    def passed(self, frames: int, seconds: float) -> None:
        """Counts a pass."""
        fade = math.exp(-seconds / FADES_S)
        self._frames, self._seconds = self._frames * fade + frames, self._seconds * fade + seconds
        self.busy_s += seconds

    @property
    def frames_a_second(self) -> float:
        """The weighted mean; above 0."""
        return max(self._frames / self._seconds, 1e-3)
