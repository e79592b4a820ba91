"""A number of decoding processes kept ready: lent one by one, and replaced when they are lost."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from typing import get_args

from rwae_core.media.errors import MediaTimeoutError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.process import DecodingProcess, LostError, Reason
from rwae_core.media.wire import LOOK_S, Patience

logger = logging.getLogger(__name__)

SPARES = 1
"""Processes that stand by, so that nobody waits for one to start after another was lost."""
LOOK_AFTER_S = 1.0
"""Seconds after which processes that died unasked are missed."""
PAUSES_S = (0.1, 0.3, 1.0, 5.0)
"""Seconds from one attempt to start a process to the next, while the system starts none."""


class Crew:
    """Processes; its methods may be called from any thread.

    A thread of its own starts them, several at once if need be, and outlives them all: they end with it.
    """

    def __init__(self, size: int, limits: MediaLimits) -> None:
        """Starts the processes and waits until they are ready.

        Args:
            size: processes that may be lent at a time; SPARES more are kept.
            limits: what each may use.

        Raises:
            RuntimeError: they do not start.
        """
        self._size, self._limits = size, limits
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        self._missed = threading.Condition(self._lock)
        self._processes: list[DecodingProcess] = []
        self._idle: list[DecodingProcess] = []
        self._lent = 0
        self._closed = False
        self._restarts: Counter[Reason] = Counter(dict.fromkeys(get_args(Reason), 0))
        self._complete = threading.Event()
        self._failure: Exception | None = None
        self._keeper = threading.Thread(target=self._keep, name="media-crew", daemon=True)
        self._keeper.start()
        self._complete.wait()
        if self._failure is not None:
            self.close()
            raise RuntimeError("No decoding process starts; its standard error says why.") from self._failure

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def restarts(self) -> dict[Reason, int]:
        """How many processes were replaced so far, by reason."""
        with self._lock:
            return dict(self._restarts)

    @property
    def ready(self) -> int:
        """Processes that decode, or could at once: the size and SPARES, unless some are being replaced."""
        with self._lock:
            return self._lent + sum(process.alive for process in self._idle)

    @property
    def lent(self) -> int:
        with self._lock:
            return self._lent

    def take(self, patience: Patience) -> DecodingProcess:
        """Waits for a process.

        Raises:
            MediaTimeoutError: none became free in time.
            CancelledError: nobody wants it any more.
            RuntimeError: the crew is closed.
        """
        with self._lock:
            while True:
                if self._closed:
                    raise RuntimeError("The pool is closed.")
                patience.check_wanted()
                self._dismiss_dead()
                if self._lent < self._size and self._idle:
                    self._lent += 1
                    return self._idle.pop()
                left = patience.deadline - time.monotonic()
                if left <= 0:
                    raise MediaTimeoutError("No decoder became free in time: try again later.")
                self._freed.wait(min(left, LOOK_S))

    def give_back(self, process: DecodingProcess, lost: LostError | None = None) -> None:
        """Ends the loan of a process, and the process if it has leaked."""
        reason: Reason | None = None if lost is None else lost.reason
        if reason is None and not process.alive:
            reason = "died"
        elif reason is None and process.leaked:
            reason = "leaked"
        if reason is not None or self._closed:
            process.close()
        with self._lock:
            self._lent -= 1
            if reason is not None:
                self._dismiss(process, reason)
            elif not self._closed:
                self._idle.append(process)
            self._freed.notify()

    def close(self) -> None:
        """Kills the processes; whoever waits for one gets a RuntimeError."""
        with self._lock:
            self._closed = True
            for process in self._processes:
                process.kill()
            for process in self._idle:
                process.close()
            self._processes.clear()
            self._idle.clear()
            self._freed.notify_all()
            self._missed.notify_all()
        self._keeper.join()

    def _dismiss_dead(self) -> None:
        for process in [process for process in self._idle if not process.alive]:
            self._idle.remove(process)
            process.close()
            self._dismiss(process, "died")

    def _dismiss(self, process: DecodingProcess, reason: Reason) -> None:
        if self._closed:
            return
        logger.warning("a decoding process is replaced: %s", reason.replace("_", " "))
        self._restarts[reason] += 1
        self._processes.remove(process)
        self._missed.notify()

    def _keep(self) -> None:
        """Keeps the crew complete until it is closed."""
        failures = 0
        while True:
            with self._lock:
                if failures:
                    self._missed.wait_for(lambda: self._closed, PAUSES_S[min(failures, len(PAUSES_S)) - 1])
                elif self._complete.is_set():
                    self._missed.wait_for(lambda: self._closed or self._missing > 0, LOOK_AFTER_S)
                if self._closed:
                    return
                self._dismiss_dead()
                missing = self._missing
            try:
                self._recruit(missing)
                failures = 0
            except (OSError, RuntimeError) as error:
                if not self._complete.is_set():
                    self._failure = error
                elif not self._closed:
                    logger.warning("a decoding process does not start, another attempt follows: %s", error)
                failures += 1
            self._complete.set()

    @property
    def _missing(self) -> int:
        return self._size + SPARES - len(self._processes)

    def _recruit(self, count: int) -> None:
        """Starts processes side by side; each is lent from the moment it is ready, whatever becomes of the others.

        Raises:
            OSError, RuntimeError: one does not start.
        """
        recruits: list[DecodingProcess] = []
        failure: OSError | RuntimeError | None = None
        try:
            for _ in range(count):
                with self._lock:
                    if self._closed:
                        break
                    recruits.append(DecodingProcess(self._limits))
                    self._processes.append(recruits[-1])
        except OSError as error:
            failure = error
        for process in recruits:
            try:
                process.wait_until_ready()
            except RuntimeError as error:
                failure = error
            with self._lock:
                if self._closed or not process.ready:
                    process.close()
                    if not self._closed:
                        self._processes.remove(process)
                else:
                    self._idle.append(process)
                    self._freed.notify()
        if failure is not None:
            raise failure
