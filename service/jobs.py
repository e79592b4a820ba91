"""A work on its way through the engine: its plan, what it waits for, and who waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic

import torch

from rwae_core.model import RWAE
from service.library import Model
from service.memory import MemoryShortError, is_short_of_memory
from service.observer import Observer, Reason
from service.verbs.base import Answer, Operation, Plan, Work


class DeadlineError(Exception):
    """The deadline passed before the answer was there; the work was dropped."""


class ClosedError(Exception):
    """The engine has shut down."""


REASONS: Mapping[type[Exception], Reason] = {
    DeadlineError: "deadline",
    ClosedError: "closed",
    MemoryShortError: "memory",
}


@dataclass(frozen=True)
class Done(Generic[Answer]):
    """An answer, and what it took.

    `model_s` are the seconds of the passes that it had a part in, `queue_s` the rest of those from submitted to
    answered; `batch` is the largest number of works that shared one of its passes.
    """

    value: Answer
    queue_s: float
    model_s: float
    batch: int


@dataclass(frozen=True, eq=False)
class Step:
    """An operation of a job that waits for its pass; those with one `key` may share it."""

    job: Job
    place: int
    operation: Operation[Any]
    key: tuple[object, ...]


class Job:
    """A work, whom it is for, and how far it is.

    The future stays pending until there is an answer, so that it can be cancelled all the while.

    Args:
        model: The model that is asked.
        work: What it is asked.
        deadline: Time of `time.monotonic` after which nobody wants the answer.
        observer: Is told where there is none.
        continues: Whether it goes on with what has been begun.

    Attributes:
        future: The answer.
        network: The model's, on the device where the job runs.
        left: Frames that are still to pass.
        pending: What can be done next.
        over: Whether it was answered, failed or dropped.
    """

    def __init__(
        self, model: Model, work: Work[Any], deadline: float, observer: Observer, *, continues: bool = False
    ) -> None:
        self.model, self.work, self.deadline, self.continues = model, work, deadline, continues
        self.future: Future[Done[Any]] = Future()
        self.network: RWAE | None = None
        self.left = work.cost
        self.pending: list[Step] = []
        self.over = False
        self._observer = observer
        self._submitted = time.monotonic()
        self._model_s, self._batch = 0.0, 1
        self._plan: Plan[Any] | None = None
        self._results: list[Any] = []
        self._missing = 0

    def start(self, device: torch.device, most: int) -> None:
        """Begins the plan. What goes wrong is the job's failure.

        Args:
            device: Where it will run.
            most: Frames that may share a pass.
        """
        try:
            self.network = self.model.networks[device]
            self._plan = self.work.plan(self.network, most)
            self._wait_for(next(self._plan))
        except Exception as error:
            self.fail(error)

    def passed(self, step: Step, result: Any, seconds: float, works: int) -> None:
        """Takes the result of a step; with the last one that was missing, goes on with the plan.

        Args:
            step: One of those that were pending.
            result: What its operation returned.
            seconds: What the pass took; 0 for further steps of one pass.
            works: How many shared it.
        """
        if self.over or self._plan is None:
            return
        self.left = max(0, self.left - step.operation.cost)
        self._model_s += seconds
        self._batch = max(self._batch, works)
        self._results[step.place] = result
        self._missing -= 1
        if self._missing:
            return
        try:
            self._wait_for(self._plan.send(self._results))
        except StopIteration as end:
            self._answer(end.value)
        except Exception as error:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Ends without an answer."""
        if self.over:
            return
        if is_short_of_memory(error):
            error = MemoryShortError()
        self._let_go()
        if self.future.set_running_or_notify_cancel():
            reason = REASONS.get(type(error))
            if reason is not None:
                self._observer.dropped(reason)
            self.future.set_exception(error)
        else:
            self._observer.dropped("cancelled")

    def drop_if_unwanted(self, now: float) -> None:
        """Ends the job where nobody waits for it any more at the time `now` of `time.monotonic`."""
        if self.future.cancelled() or self.deadline <= now:
            self.fail(DeadlineError("The request waited for the model until its deadline: try again later."))

    def _answer(self, value: Any) -> None:
        queue_s = max(0.0, time.monotonic() - self._submitted - self._model_s)
        self._let_go()
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(Done(value, queue_s, self._model_s, self._batch))
        else:
            self._observer.dropped("cancelled")

    def _wait_for(self, operations: Sequence[Operation[Any]]) -> None:
        self.pending = [
            Step(self, place, operation, (id(self.network), type(operation), operation.shape))
            for place, operation in enumerate(operations)
        ]
        self._results, self._missing = [None] * len(operations), len(operations)

    def _let_go(self) -> None:
        """What the plan holds may be large, and the future may be kept."""
        self.over = True
        self.left, self.pending, self._results, self.network, self._plan = 0, [], [], None, None
