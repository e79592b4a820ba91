"""Operations run together on one device, and apart where they fail together."""

from __future__ import annotations

import time
from typing import Any

import torch

from rwae_core.model import RWAE
from service.jobs import Step
from service.memory import is_short_of_memory
from service.observer import Observer

REGAINED_S = 60.0
"""Seconds after which twice as many frames are tried again."""


class Passes:
    """Runs operations of one key in one pass. One that fails has no neighbours fail with it.

    Where several fail together, each half is tried, down to single ones: among n, a bad one costs about log₂ n passes.
    Where memory was short, passes stay smaller for a while.

    Args:
        device: Where the networks are.
        most: Frames that may share a pass.
        observer: Is told of each.
    """

    def __init__(self, device: torch.device, most: int, observer: Observer) -> None:
        self._device, self._full, self._observer = device, most, observer
        self._reduced, self._since = most, 0.0

    @property
    def most(self) -> int:
        """Frames that may share a pass now."""
        regained = int((time.monotonic() - self._since) / REGAINED_S)
        return min(self._full, self._reduced << min(regained, 32))

    def run(self, network: RWAE, steps: list[Step]) -> None:
        """Gives each step's job its result, or fails it; steps of jobs that are over are left out."""
        groups = [steps]
        while groups:
            now = time.monotonic()
            group = groups.pop()
            for step in group:
                step.job.drop_if_unwanted(now)
            group = [step for step in group if not step.job.over]
            if not group:
                continue
            results = self._tried(network, group)
            took = time.monotonic() - now
            if not isinstance(results, Exception):
                self._deliver(group, results, took)
                continue
            short = is_short_of_memory(results)
            if short and self._device.type == "cuda":
                torch.cuda.empty_cache()
            if len(group) == 1:
                group[0].job.fail(results)
                continue
            half = len(group) // 2
            groups += [group[half:], group[:half]]
            if short:
                self._reduced, self._since = max(1, _cost(group) // 2), now

    def _tried(self, network: RWAE, group: list[Step]) -> list[Any] | Exception:
        operations = [step.operation for step in group]
        run = type(operations[0]).run
        try:
            if network.rounds:  # then an answer is only the same whatever shares its pass if nothing does, to the bit
                return [result for operation in operations for result in run(network, [operation])]
            return run(network, operations)
        except Exception as error:
            if len(group) > 1 or is_short_of_memory(error):
                return error.with_traceback(None)  # whose frames hold what filled the memory
            return error

    def _deliver(self, group: list[Step], results: list[Any], took: float) -> None:
        first, works = group[0], len({id(step.job) for step in group})
        self._observer.passed(first.job.model.id, type(first.operation).__name__, _cost(group), works, took)
        counted: set[int] = set()
        for step, result in zip(group, results, strict=True):
            step.job.passed(step, result, 0.0 if id(step.job) in counted else took, works)
            counted.add(id(step.job))


def _cost(group: list[Step]) -> int:
    return sum(step.operation.cost for step in group)
