"""The engine: works in, answers out, one thread for each device, no HTTP.

Whatever waits when a device becomes free, and fits together, passes through the model together. Nothing waits for
company: a single work starts at once.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic

import torch

from service.library import Library, Model
from service.verbs.base import Answer, Work


class QueueFullError(Exception):
    """As many works wait as may; `retry_after_s` is an estimate of when there is room."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many requests are waiting: try again in about {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class DeadlineError(Exception):
    """The deadline passed before the answer was there; the work was dropped."""


class ClosedError(Exception):
    """The engine has shut down."""


@dataclass(frozen=True)
class Done(Generic[Answer]):
    """An answer, the seconds its work waited and was computed, and how many works shared the pass."""

    value: Answer
    queue_s: float
    model_s: float
    batch: int


@dataclass
class _Job:
    model: Model
    work: Work[Any]
    deadline: float
    future: Future[Done[Any]] = field(default_factory=Future)
    submitted: float = field(default_factory=time.monotonic)

    @property
    def key(self) -> tuple[object, ...]:
        return (self.model.id, type(self.work), self.work.shape)


class Engine:
    """Queue and threads over a library.

    Args:
        library: Models, with a network on each of the devices.
        devices: One thread each.
        dtype: Arithmetic of the networks; below float32 by autocast.
        max_batch_frames: Frames that may share a pass. A larger work passes alone.
        queue_size: Works that may wait.
    """

    def __init__(
        self,
        library: Library,
        devices: Sequence[torch.device],
        *,
        dtype: torch.dtype = torch.float32,
        max_batch_frames: int = 512,
        queue_size: int = 64,
    ) -> None:
        self.library = library
        self._dtype = dtype
        self._max_batch_frames = max_batch_frames
        self._queue_size = queue_size
        self._waiting: deque[_Job] = deque()
        self._changed = threading.Condition()  # its lock may be taken again by the thread that has it
        self._closed = False
        self._seconds_a_job = 0.1
        self._threads = [
            threading.Thread(target=self._serve, args=(device,), name=f"engine {device}", daemon=True)
            for device in devices
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Works in the queue that somebody waits for."""
        with self._changed:
            self._drop_dead()
            return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether the queue takes no more works."""
        return self.waiting >= self._queue_size

    def submit(self, model: Model, work: Work[Answer], deadline: float = math.inf) -> Future[Done[Answer]]:
        """Queues a work. Cancelling the future before its turn drops it.

        Args:
            model: One of the library's.
            work: What to do.
            deadline: Time of `time.monotonic` after which nobody wants the answer.

        Raises:
            QueueFullError: as many works wait as may.
            ClosedError: the engine has shut down.
        """
        job = _Job(model, work, deadline)
        with self._changed:
            if self._closed:
                raise ClosedError("The service is shutting down: try again soon.")
            if self.full:
                raise QueueFullError(self.retry_after_s())
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def retry_after_s(self) -> int:
        """Seconds until the works that wait now are likely to be done, 1 to 60."""
        return min(60, max(1, math.ceil(self.waiting * self._seconds_a_job / len(self._threads))))

    def close(self, grace_s: float = 0) -> None:
        """Takes no more works, gives those that wait `grace_s` seconds, drops the rest and ends the threads."""
        end = time.monotonic() + grace_s
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        with self._changed:
            dropped = list(self._waiting)
            self._waiting.clear()
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(
                    ClosedError("The service shut down before this request's turn: try again soon.")
                )
        for thread in self._threads:
            thread.join()  # what is running is at most one pass

    def _serve(self, device: torch.device) -> None:
        autocast = torch.autocast(device.type, self._dtype, enabled=self._dtype is not torch.float32)
        with torch.inference_mode(), autocast:
            while batch := self._next():
                self._answer(batch, device)

    def _next(self) -> list[_Job]:
        """Waits for works and takes the oldest with all that fit beside it; empty when closed and nothing is left."""
        batch: list[_Job] = []
        with self._changed:
            while not batch:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return []
                self._drop_dead()
                left: deque[_Job] = deque()
                room = self._max_batch_frames
                for job in self._waiting:
                    if batch and (job.key != batch[0].key or job.work.cost > room):
                        left.append(job)
                    elif job.future.set_running_or_notify_cancel():
                        batch.append(job)
                        room -= job.work.cost
                self._waiting = left
        return batch

    def _drop_dead(self) -> None:
        """Leaves out the works that nobody waits for any more; called with the lock held."""
        now = time.monotonic()
        alive: deque[_Job] = deque()
        for job in self._waiting:
            if job.deadline > now and not job.future.cancelled():
                alive.append(job)
            elif job.future.set_running_or_notify_cancel():
                job.future.set_exception(
                    DeadlineError("The request waited for the model until its deadline: try again later.")
                )
        self._waiting = alive

    def _answer(self, batch: list[_Job], device: torch.device) -> None:
        started = time.monotonic()
        first = batch[0]
        try:
            answers = first.work.run(first.model.networks[device], [job.work for job in batch])
        except Exception as error:
            if len(batch) == 1:
                first.future.set_exception(error)
            else:  # one of them may be at fault, or they may be too large together
                for job in batch:
                    self._answer([job], device)
            return
        took = time.monotonic() - started
        self._seconds_a_job += 0.2 * (took / len(batch) - self._seconds_a_job)
        for job, answer in zip(batch, answers, strict=True):
            job.future.set_result(Done(answer, started - job.submitted, took, len(batch)))
