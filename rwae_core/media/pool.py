"""Decoding hostile bytes in processes that can be killed without harm to the others or to whoever asks."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self, cast

import numpy as np

from rwae_core.media.clip import MAX_FPS, MIN_FPS, AudioClip, VideoClip
from rwae_core.media.crew import Crew
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.process import Answer, LostError, Question, Reason
from rwae_core.media.wanted import Pictures, Sound, Wanted
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

    def decode(
        self,
        data: bytes,
        wanted: Wanted,
        *,
        timeout: float | None = None,
        cancelled: threading.Event | None = None,
    ) -> VideoClip | AudioClip:
        """Decodes a file as `rwae_core.media.decode.decode` does, in a worker; blocks until it is done.

        Args:
            data: the file's bytes.
            wanted: of the file.
            timeout: seconds for the whole call, waiting for a free worker included; None waits for one for ever.
                Decoding itself has the limits' `timeout_s` at most.
            cancelled: set by another thread once nobody wants the clip any more: what then takes longer than a tenth
                of a second is stopped.

        Raises:
            MediaError: what is wrong with the file, as `decode` says; MediaTimeoutError if it took too long,
                MediaTooLargeError if it needs too much memory, UndecodableMediaError if it makes the worker crash.
            concurrent.futures.CancelledError: `cancelled` was set.
            RuntimeError: the pool is closed.
        """

        def read(header: dict[str, Any], body: bytearray) -> VideoClip | AudioClip:
            if header["modality"] == "video" and wanted.video is not None:
                return _film(body, wanted.video, header["fps"])
            if header["modality"] == "audio" and wanted.audio is not None:
                return _sound(body, wanted.audio)
            raise ValueError("the answer is not what is wanted")

        return self._ask(Question(data, asdict(wanted), self._largest(wanted)), read, timeout, cancelled)

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
        """Decodes a clip as `rwae_core.media.decode.decode_video` does; else as `decode`."""
        wanted = Wanted(video=Pictures(size, channels, fit), read_as="video")
        return cast("VideoClip", self.decode(data, wanted, timeout=timeout, cancelled=cancelled))

    def decode_audio(
        self, data: bytes, *, sample_rate: int, timeout: float | None = None, cancelled: threading.Event | None = None
    ) -> AudioClip:
        """Decodes sound as `rwae_core.media.decode.decode_audio` does; else as `decode`."""
        wanted = Wanted(audio=Sound(sample_rate), read_as="audio")
        return cast("AudioClip", self.decode(data, wanted, timeout=timeout, cancelled=cancelled))

    def _largest(self, wanted: Wanted) -> int:
        """Bytes of the largest clip."""
        film, sound = wanted.video, wanted.audio
        frames = 0 if film is None else self.limits.max_frames * film.size**2 * film.channels
        samples = 0 if sound is None else math.ceil(self.limits.max_seconds * sound.sample_rate)
        return max(frames, samples * np.dtype(np.float32).itemsize)

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


def _film(body: bytearray, wanted: Pictures, fps: float) -> VideoClip:
    """The clip of an answer; raises ValueError where it holds none."""
    clip = VideoClip(np.frombuffer(body, np.uint8).reshape(-1, wanted.size, wanted.size, wanted.channels), fps)
    if not MIN_FPS <= clip.fps <= MAX_FPS or not len(clip.frames):
        raise ValueError("the answer holds no clip")
    return clip


def _sound(body: bytearray, wanted: Sound) -> AudioClip:
    """The sound of an answer; raises ValueError where it holds none."""
    samples = np.frombuffer(body, np.float32)
    if not len(samples) or not (np.abs(samples) <= 1).all():
        raise ValueError("the answer holds no clip")
    return AudioClip(samples, wanted.sample_rate)
