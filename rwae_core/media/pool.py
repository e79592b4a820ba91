"""Decoding hostile bytes in processes that can be killed without harm to the others or to whoever asks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import numpy as np

from rwae_core.media.clip import MAX_FPS, MIN_FPS, AudioClip, VideoClip
from rwae_core.media.crew import Crew
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.process import Answer, LostError, Question, Reason
from rwae_core.media.sniff import Modality, signature
from rwae_core.media.wire import Patience

ATTEMPTS = 3
"""Times that a file is tried whose processes are killed from outside: all that idle may be at once."""


class MediaPool:
    """Decodes in processes of its own; its methods may be called from any thread.

    A worker that crashes, runs out of memory or out of time, leaks, or is busy with what nobody wants any more is
    replaced, and only the request that it was busy with fails. One that is killed from outside (SIGKILL, SIGTERM)
    need not have been killed for its file: that is tried again, in another worker.
    """

    def __init__(self, workers: int, limits: MediaLimits) -> None:
        """Starts processes, `workers` that decode at a time and one that stands by, and waits until they can decode.

        Raises:
            RuntimeError: they do not start.
        """
        if workers < 1:
            raise ValueError("A pool needs at least one worker.")
        self.limits = limits
        self._crew = Crew(workers, limits)

    @property
    def restarts(self) -> dict[Reason, int]:
        """How many workers were replaced so far, by reason; all reasons are there from the beginning."""
        return self._crew.restarts

    @property
    def busy(self) -> int:
        """Workers that decode."""
        return self._crew.lent

    @property
    def ready(self) -> int:
        """Workers that decode or could at once, the one that stands by included."""
        return self._crew.ready

    def decode_video(
        self,
        data: bytes,
        *,
        size: int,
        channels: int,
        fit: Fit,
        timeout: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> VideoClip:
        """Decodes a clip as `rwae_core.media.decode.decode_video` does, in a worker; blocks until it is done.

        Args:
            data: the file's bytes.
            size: pixels of a side of the returned frames.
            channels: 3 for RGB, 1 for luma.
            fit: what happens to frames that are not square.
            timeout: seconds for the whole call, waiting for a free worker included; None waits for one for ever.
                Decoding itself has the limits' `timeout_s` at most.
            cancelled: set by another thread once nobody wants the clip any more: what then takes longer than a tenth
                of a second is stopped.

        Raises:
            MediaError: what is wrong with the file, as `decode_video` says; MediaTimeoutError if it took too long,
                MediaTooLargeError if it needs too much memory, UndecodableMediaError if it makes the worker crash.
            concurrent.futures.CancelledError: `cancelled` was set.
            RuntimeError: the pool is closed.
        """

        def read(header: dict[str, Any], body: bytearray) -> VideoClip:
            clip = VideoClip(np.frombuffer(body, np.uint8).reshape(-1, size, size, channels), header["fps"])
            if not MIN_FPS <= clip.fps <= MAX_FPS or not len(clip.frames):
                raise ValueError("the answer holds no clip")
            return clip

        request = {"wanted": "video", "size": size, "channels": channels, "fit": fit}
        question = Question(data, request, self.limits.max_frames * size * size * channels)
        return self._ask(question, read, timeout, cancelled)

    def decode_audio(
        self, data: bytes, *, sample_rate: int, timeout: float | None = None, cancelled: threading.Event | None = None
    ) -> AudioClip:
        """Decodes sound as `rwae_core.media.decode.decode_audio` does, in a worker; blocks until it is done.

        Args:
            data: the file's bytes.
            sample_rate: samples per second of the returned clip.
            timeout: as for `decode_video`.
            cancelled: as for `decode_video`.

        Raises:
            MediaError: what is wrong with the file, as `decode_audio` says; else as for `decode_video`.
            concurrent.futures.CancelledError: `cancelled` was set.
            RuntimeError: the pool is closed.
        """

        def read(header: dict[str, Any], body: bytearray) -> AudioClip:
            samples = np.frombuffer(body, np.float32)
            if not len(samples) or not (np.abs(samples) <= 1).all():
                raise ValueError("the answer holds no clip")
            return AudioClip(samples, sample_rate)

        max_samples = math.ceil(self.limits.max_seconds * sample_rate)
        request = {"wanted": "audio", "sample_rate": sample_rate}
        question = Question(data, request, max_samples * np.dtype(np.float32).itemsize)
        return self._ask(question, read, timeout, cancelled)

    def modality(
        self, data: bytes, *, timeout: float | None = None, cancelled: threading.Event | None = None
    ) -> Modality:
        """Whether a file is video or sound, as `rwae_core.media.decode.modality` says; most first bytes tell at once.

        Raises:
            MediaError, CancelledError, RuntimeError: as for `decode_video`; what is damaged beyond its first bytes
                need not show.
        """
        kind = signature(data)
        if kind in ("wav", "flac", "ogg", "mp3"):
            return "audio"
        if kind in ("gif", "webp", "apng"):
            return "video"
        modalities: dict[str, Modality] = {"video": "video", "audio": "audio"}
        question = Question(data, {"wanted": "modality"}, 0)
        return self._ask(question, lambda head, _: modalities[head["modality"]], timeout, cancelled)

    def _ask(
        self,
        question: Question,
        read: Callable[[dict[str, Any], bytearray], Answer],
        timeout: float | None,
        cancelled: threading.Event | None,
    ) -> Answer:
        self.limits.check_bytes(len(question.data))
        patience = Patience(math.inf if timeout is None else time.monotonic() + timeout, cancelled)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return self._ask_one(question, read, patience)
            except LostError as lost:
                if self._crew.closed:  # then it was killed for that
                    raise RuntimeError("The pool is closed.") from None
                if not lost.struck or attempt == ATTEMPTS:
                    raise lost.told from lost
        raise AssertionError("the last attempt returns or raises")

    def _ask_one(
        self, question: Question, read: Callable[[dict[str, Any], bytearray], Answer], patience: Patience
    ) -> Answer:
        process = self._crew.take(patience)
        lost: LostError | None = None
        try:
            return process.ask(question, read, patience)
        except LostError as error:
            lost = error
            raise
        finally:
            self._crew.give_back(process, lost)

    def close(self) -> None:
        """Kills the workers; whoever waits for one gets a RuntimeError."""
        self._crew.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
