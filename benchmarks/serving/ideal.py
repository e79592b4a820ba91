"""An ideal server: what waiting alone makes of measured service times, whatever the code.

It serves the oldest first, never idles while somebody waits, and nothing but the work takes time. Whole requests get
cheaper in company, not their passes of the model alone: k of them together take a + b·k, where one takes as long as an
unloaded service does, and as many as fill a pass take as long as they do at saturation.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

ORDERS: Mapping[str, Callable[[int], int]] = {
    "one at a time": lambda waiting: 1,
    "all that wait": lambda waiting: waiting,
}
"""How many of those that wait are served together."""


@dataclass(frozen=True)
class Ideal:
    """Service times of an ideal server.

    Attributes:
        alone_ms: What requests took one by one.
        rate: Requests a second at saturation.
        most: How many share a full pass.
    """

    alone_ms: Sequence[float]
    rate: float
    most: int

    def took_ms(self, due: Iterable[float], order: Callable[[int], int], seed: int = 0) -> list[float]:
        """Milliseconds from when each request was due to its answer, sorted.

        Args:
            due: Seconds, in order.
            order: One of `ORDERS`.
            seed: Of the draws: each group varies as single requests did when measured.
        """
        typical = sorted(self.alone_ms)[len(self.alone_ms) // 2]
        each = max(0.0, (1000 * self.most / self.rate - typical) / (self.most - 1))
        chance = random.Random(seed)  # noqa: S311 (no secret)
        coming, took = [1000 * moment for moment in due], list[float]()
        now, first, waiting = 0.0, 0, 0  # `first` of those not yet served
        while first < len(coming):
            now = max(now, coming[first])
            while first + waiting < len(coming) and coming[first + waiting] <= now:
                waiting += 1
            served = min(order(waiting), self.most)
            now += (typical + each * (served - 1)) * chance.choice(self.alone_ms) / typical
            took += [now - moment for moment in coming[first : first + served]]
            first, waiting = first + served, waiting - served
        return sorted(took)
