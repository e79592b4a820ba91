"""The engine: works in, answers out, one thread for each device, no HTTP.

Whatever waits when a device becomes free, and fits together, passes through the model together, whichever verb it is
for: `/encode` and the first half of `/swap` share a pass. Nothing waits for company: a single work starts at once.
Works that go on with a stream take turns with the rest, which are done in their order.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future

import torch

from service.jobs import ClosedError, DeadlineError, Done, Job, Step
from service.library import Library, Model
from service.memory import MemoryShortError
from service.observer import Observer, Unobserved
from service.pace import Pace
from service.passes import Passes
from service.verbs.base import Answer, Work

__all__ = ["ClosedError", "DeadlineError", "Done", "Engine", "MemoryShortError", "QueueFullError"]

logger = logging.getLogger(__name__)

QUEUED_PASSES = 64
"""The queue is full, too, with works for this many full passes: some seconds on most devices, and no fewer than a few
of the longest clips."""
STARTED_PASSES = 2
"""A device has works for this many full passes under way, as most of them go through it twice."""


class QueueFullError(Exception):
    """As many works wait as may; `retry_after_s` is an estimate of when there is room."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"Too many requests are waiting: try again in about {retry_after_s} s.")
        self.retry_after_s = retry_after_s


class Engine:
    """Queue and threads over a library.

    Args:
        library: Models, with a network on each of the devices.
        devices: One thread each.
        dtype: Arithmetic of the networks; below float32 by autocast.
        max_batch_frames: Frames that may share a pass. Of one clip, more pass at once only where they cannot be
            divided: while it is encoded, and while its codes are drawn.
        queue_size: Works that may wait; fewer where they are large.
        observer: Is told of passes, and of works that got no answer.
    """

    def __init__(
        self,
        library: Library,
        devices: Sequence[torch.device],
        *,
        dtype: torch.dtype = torch.float32,
        max_batch_frames: int = 512,
        queue_size: int = 64,
        observer: Observer | None = None,
    ) -> None:
        self.library = library
        self._dtype = dtype
        self._max_batch_frames = max_batch_frames
        self._queue_size = queue_size
        self._observer = observer or Unobserved()
        self._waiting: deque[Job] = deque()
        self._changed = threading.Condition()  # its lock may be taken again by the thread that has it
        self._closed = self._stopped = False
        self._paces = [Pace() for _ in devices]
        self._started = [0 for _ in devices]  # frames that are still to pass on each
        self._turns = [False for _ in devices]  # whether the last pass was for what continues
        self._devices = list(devices)
        self._threads = [
            threading.Thread(target=self._serve, args=(place,), name=f"engine {device}", daemon=True)
            for place, device in enumerate(devices)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Works in the queue that somebody waits for."""
        with self._changed:
            self._drop_unwanted()
            return len(self._waiting)

    @property
    def waiting_frames(self) -> int:
        """Frames of the works in the queue."""
        with self._changed:
            return sum(job.left for job in self._waiting)

    @property
    def started_frames(self) -> int:
        """Frames that are still to pass of the works that devices have begun."""
        return sum(self._started)

    @property
    def busy_s(self) -> Mapping[str, float]:
        """Seconds that each device was busy since the start."""
        found: dict[str, float] = {}
        for device, pace in zip(self._devices, self._paces, strict=True):
            found[str(device)] = found.get(str(device), 0.0) + pace.busy_s
        return found

    @property
    def full(self) -> bool:
        """Whether the queue takes no more works."""
        with self._changed:
            return self.waiting >= self._queue_size or self.waiting_frames >= self._most_frames

    def submit(
        self, model: Model, work: Work[Answer], deadline: float = math.inf, *, continues: bool = False
    ) -> Future[Done[Answer]]:
        """Queues a work. Cancelling the future drops it: before its turn, or between two passes.

        Args:
            model: One of the library's.
            work: What to do.
            deadline: Time of `time.monotonic` after which nobody wants the answer.
            continues: Whether it goes on with what has been begun, a small part of it: it is not turned away, and
                every other pass is for such works.

        Raises:
            QueueFullError: as many works wait as may, or as many frames with those of this one. The first in an empty
                queue is never too large.
            ClosedError: the engine has shut down.
        """
        job = Job(model, work, deadline, self._observer, continues=continues)
        with self._changed:
            if self._closed:
                raise ClosedError("The service is shutting down: try again soon.")
            too_many = self.full or (self._waiting and self.waiting_frames + job.left > self._most_frames)
            if too_many and not continues:
                self._observer.dropped("full")
                raise QueueFullError(self.retry_after_s())
            self._waiting.append(job)
            self._changed.notify()
        return job.future

    def retry_after_s(self) -> int:
        """Seconds until the works that wait now are likely to be done, 1 to 60."""
        pace = sum(pace.frames_a_second for pace in self._paces)
        return min(60, max(1, math.ceil((self.waiting_frames + self.started_frames) / pace)))

    def close(self, grace_s: float = 0) -> None:
        """Takes no more works, gives those that wait `grace_s` seconds, drops the rest and ends the threads."""
        end = time.monotonic() + grace_s
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(max(0, end - time.monotonic()))
        with self._changed:
            self._stopped = True
            dropped = list(self._waiting)
            self._waiting.clear()
        _close(dropped)
        for thread in self._threads:
            thread.join()  # what is running is at most one pass

    @property
    def _most_frames(self) -> int:
        return QUEUED_PASSES * self._max_batch_frames

    def _serve(self, place: int) -> None:
        device = self._devices[place]
        passes = Passes(device, self._max_batch_frames, self._observer)
        autocast = torch.autocast(device.type, self._dtype, enabled=self._dtype is not torch.float32)
        with torch.inference_mode(), autocast:
            jobs: list[Job] = []
            while self._take(place, jobs):
                try:
                    self._pass(place, jobs, passes)
                except Exception as error:  # without its thread the device would answer nobody any more
                    logger.exception("a pass on %s failed in the engine itself", device)
                    for job in jobs:
                        job.fail(error)

    def _take(self, place: int, jobs: list[Job]) -> bool:
        """Leaves those jobs that are not over, and adds the oldest of the queue that the device has room for.

        Waits while there is none; returns False when the engine has closed and none is left.
        """
        with self._changed:
            self._keep_wanted(jobs)
            while True:
                if not jobs:
                    self._started[place] = 0
                    self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._stopped:
                    _close(jobs)
                    return False
                self._drop_unwanted()
                self._add(place, jobs)
                if jobs:
                    return True
                if self._closed:
                    return False

    def _add(self, place: int, jobs: list[Job]) -> None:
        """Takes jobs from the queue: not more than two passes and than this device's share of all there are.

        Those that continue are always taken: others under way may be long.
        """
        jobs.extend(job for job in self._waiting if job.continues)
        self._waiting = deque(job for job in self._waiting if not job.continues)
        going_on = sum(job.left for job in jobs if job.continues)
        started = sum(job.left for job in jobs) - going_on
        all_there_are = self.waiting_frames + started + going_on + self.started_frames - self._started[place]
        share = all_there_are / len(self._threads)
        while self._waiting:
            left = self._waiting[0].left
            enough = started >= STARTED_PASSES * self._max_batch_frames or started + going_on + left > share
            if enough and any(not job.continues for job in jobs):
                self._changed.notify()  # for a device that may be free
                break
            jobs.append(self._waiting.popleft())
            started += left
        self._started[place] = started + going_on

    def _pass(self, place: int, jobs: list[Job], passes: Passes) -> None:
        """Runs what the oldest job can do next, with all that may share it."""
        began = time.monotonic()
        for job in jobs:
            if job.network is None:
                job.start(self._devices[place], passes.most)
        turn = self._turns[place] = not self._turns[place]
        steps = _oldest(sorted(jobs, key=lambda job: job.continues != turn), passes.most)
        if steps and (network := steps[0].job.network) is not None:
            passes.run(network, steps)
        self._paces[place].passed(sum(step.operation.cost for step in steps), time.monotonic() - began)

    def _drop_unwanted(self) -> None:
        """Leaves out of the queue what nobody waits for any more; called with the lock held."""
        self._keep_wanted(self._waiting)

    def _keep_wanted(self, jobs: deque[Job] | list[Job]) -> None:
        now = time.monotonic()
        for job in jobs:
            job.drop_if_unwanted(now)
        alive = [job for job in jobs if not job.over]
        jobs.clear()
        jobs.extend(alive)


def _oldest(jobs: Sequence[Job], most: int) -> list[Step]:
    """A step of the first job, and those of all jobs that fit beside it, taken from what the jobs have pending.

    The oldest always goes first, so that nobody starves.
    """
    pending = [step for job in jobs for step in job.pending]
    taken: list[Step] = []
    frames = 0
    for step in pending:
        if not taken or (step.key == taken[0].key and frames + step.operation.cost <= most):
            taken.append(step)
            frames += step.operation.cost
    gone = {id(step) for step in taken}
    for job in {id(step.job): step.job for step in taken}.values():
        job.pending = [step for step in job.pending if id(step) not in gone]
    return taken


def _close(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job.fail(ClosedError("The service shut down before this request's turn: try again soon."))
