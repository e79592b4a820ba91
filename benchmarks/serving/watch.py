"""What a server and its children hold, sampled while they work."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, get_args

import psutil

Quantity = Literal["memory_mb", "files", "threads", "processes"]
QUANTITIES: tuple[Quantity, ...] = get_args(Quantity)


@dataclass(frozen=True)
class Footprint:
    """One sample: seconds since the watch began, megabytes, open files, threads, processes.

    Memory is that of the pages each process holds, those shared divided by who shares them (PSS); where the system
    does not tell, resident memory.
    """

    at: float
    memory_mb: float
    files: int
    threads: int
    processes: int


class Watch:
    """Samples a process and its children until the block ends.

    Args:
        pid: The process.
        every_s: Seconds between samples.
    """

    def __init__(self, pid: int, every_s: float = 1.0) -> None:
        self.footprints: list[Footprint] = []
        self._root = psutil.Process(pid)
        self._every_s = every_s
        self._ended = threading.Event()
        self._start = time.monotonic()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._ended.wait(self._every_s):
            found = [held for held in map(_held, self._processes()) if held is not None]
            if found:
                memory, files, threads = (sum(values) for values in zip(*found, strict=True))
                at = time.monotonic() - self._start
                self.footprints.append(Footprint(at, memory / 2**20, int(files), int(threads), len(found)))

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


def _held(process: psutil.Process) -> tuple[float, int, int] | None:
    try:
        try:
            memory = process.memory_full_info().pss
        except psutil.AccessDenied:
            memory = process.memory_info().rss
        return memory, process.num_fds(), process.num_threads()
    except psutil.Error:  # it has just ended
        return None


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process and its children have had: what else runs here adds nothing to them."""
    root = psutil.Process(pid)
    times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def typical(footprints: Sequence[Footprint], quantity: Quantity, start: float, end: float) -> float:
    """The median between two moments; not a number where there is no sample."""
    values = [getattr(sample, quantity) for sample in footprints if start <= sample.at < end]
    return statistics.median(values) if values else float("nan")


def growth(footprints: Sequence[Footprint], quantity: Quantity, start: float) -> float:
    """By what share of its mean a quantity grows from `start` to the end, along the line that fits it best."""
    late = [sample for sample in footprints if sample.at >= start]
    if len(late) < 2:
        return float("nan")
    times, values = [sample.at for sample in late], [float(getattr(sample, quantity)) for sample in late]
    line = statistics.linear_regression(times, values)
    return line.slope * (times[-1] - times[0]) / statistics.fmean(values)
