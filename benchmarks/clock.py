"""The clock: how long a computation takes, the device's part included."""

from __future__ import annotations

import contextlib
import statistics
import timeit
from collections.abc import Callable, Iterator

import torch

LEAST, FOR_S = 3, 1.0
"""How often and for how long a computation is repeated at least."""


def times(compute: Callable[[], object], device: torch.device) -> list[float]:
    """Seconds of each of several runs, after one that warms up."""

    def done() -> None:
        compute()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    done()
    timer, found = timeit.Timer(done), list[float]()
    while len(found) < LEAST or sum(found) < FOR_S:
        found.append(timer.timeit(number=1))
    return found


def median_s(compute: Callable[[], object], device: torch.device) -> float:
    """The median of those seconds."""
    return statistics.median(times(compute, device))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Computes with so many threads inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
