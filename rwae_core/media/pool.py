"""Processes that decode hostile bytes: each can be killed without harm to the others or to whoever asks."""

from __future__ import annotations

import contextlib
import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from rwae_core.media.clip import MAX_FPS, MIN_FPS, AudioClip, VideoClip
from rwae_core.media.errors import MediaError, MediaTimeoutError, MediaTooLargeError, UndecodableMediaError
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import Modality, signature
from rwae_core.media.wire import OUT_OF_MEMORY, READY, receive, send

Answer = TypeVar("Answer", VideoClip, AudioClip, Modality)

STARTUP_S = 60.0
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""What a worker sees of the environment; keys are none of its business."""
MEDIA_ERRORS = {error.__name__: error for error in MediaError.__subclasses__()}


class MediaPool:
    """Decodes in processes of its own; its methods may be called from any thread.

    A worker that crashes, runs out of memory or out of time is killed and replaced, and only the request that it was
    busy with fails.
    """

    def __init__(self, workers: int, limits: MediaLimits) -> None:
        """Starts `workers` processes and waits until they can decode.

        Raises:
            RuntimeError: they do not start.
        """
        if workers < 1:
            raise ValueError("A pool needs at least one worker.")
        self.limits = limits
        self._changed = threading.Condition()
        self._closed = False
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        try:
            for _ in range(workers):
                self._workers.append(_Worker(limits))
            for worker in self._workers:
                worker.wait_until_ready(None)
                self._idle.append(worker)
        except BaseException:
            self.close()
            raise

    def decode_video(
        self, data: bytes, *, size: int, channels: int, fit: Fit, timeout: float | None = None
    ) -> VideoClip:
        """Decodes a clip as `rwae_core.media.decode.decode_video` does, in a worker; blocks until it is done.

        Args:
            data: the file's bytes.
            size: pixels of a side of the returned frames.
            channels: 3 for RGB, 1 for luma.
            fit: what happens to frames that are not square.
            timeout: seconds for the whole call, waiting for a free worker included; None waits for one for ever.
                Decoding itself has the limits' `timeout_s` at most.

        Raises:
            MediaError: what is wrong with the file, as `decode_video` says; MediaTimeoutError if it took too long,
                MediaTooLargeError if it needs too much memory, UndecodableMediaError if it makes the worker crash.
            RuntimeError: the pool is closed or cannot start a worker.
        """

        def read(header: dict[str, Any], body: bytearray) -> VideoClip:
            clip = VideoClip(np.frombuffer(body, np.uint8).reshape(-1, size, size, channels), header["fps"])
            if not MIN_FPS <= clip.fps <= MAX_FPS or not len(clip.frames):
                raise ValueError("the answer holds no clip")
            return clip

        request = {"wanted": "video", "size": size, "channels": channels, "fit": fit}
        return self._decode(data, request, self.limits.max_frames * size * size * channels, read, timeout)

    def decode_audio(self, data: bytes, *, sample_rate: int, timeout: float | None = None) -> AudioClip:
        """Decodes sound as `rwae_core.media.decode.decode_audio` does, in a worker; blocks until it is done.

        Args:
            data: the file's bytes.
            sample_rate: samples per second of the returned clip.
            timeout: as for `decode_video`.

        Raises:
            MediaError: what is wrong with the file, as `decode_audio` says; else as for `decode_video`.
            RuntimeError: the pool is closed or cannot start a worker.
        """

        def read(header: dict[str, Any], body: bytearray) -> AudioClip:
            samples = np.frombuffer(body, np.float32)
            if not len(samples) or not (np.abs(samples) <= 1).all():
                raise ValueError("the answer holds no clip")
            return AudioClip(samples, sample_rate)

        max_samples = math.ceil(self.limits.max_seconds * sample_rate)
        request = {"wanted": "audio", "sample_rate": sample_rate}
        return self._decode(data, request, max_samples * np.dtype(np.float32).itemsize, read, timeout)

    def modality(self, data: bytes, *, timeout: float | None = None) -> Modality:
        """Whether a file is video or sound, as `rwae_core.media.decode.modality` says; most first bytes tell at once.

        Raises:
            MediaError, RuntimeError: as for `decode_video`; what is damaged beyond its first bytes need not show.
        """
        kind = signature(data)
        if kind in ("wav", "flac", "ogg", "mp3"):
            return "audio"
        if kind in ("gif", "webp", "apng"):
            return "video"
        modalities: dict[str, Modality] = {"video": "video", "audio": "audio"}
        return self._decode(data, {"wanted": "modality"}, 0, lambda head, _: modalities[head["modality"]], timeout)

    def _decode(
        self,
        data: bytes,
        request: dict[str, Any],
        max_body: int,
        read: Callable[[dict[str, Any], bytearray], Answer],
        timeout: float | None,
    ) -> Answer:
        self.limits.check_bytes(len(data))
        deadline = None if timeout is None else time.monotonic() + timeout
        worker = self._take(deadline)
        try:
            return worker.decode(data, request, max_body, read, deadline)
        except MediaError:
            if self._closed:  # then it was killed for that
                raise RuntimeError("The pool is closed.") from None
            raise
        finally:
            self._give_back(worker)

    def close(self) -> None:
        """Kills the workers; whoever waits for one gets a RuntimeError."""
        with self._changed:
            self._closed = True
            for worker in self._workers:
                worker.kill()
            self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _take(self, deadline: float | None) -> _Worker:
        left = None if deadline is None else deadline - time.monotonic()
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._idle, left):
                raise MediaTimeoutError("No decoder became free in time: try again later.")
            if self._closed:
                raise RuntimeError("The pool is closed.")
            return self._idle.pop()

    def _give_back(self, worker: _Worker) -> None:
        with self._changed:
            if self._closed:
                worker.close()
            elif not worker.alive:
                with contextlib.suppress(OSError):  # then the next request tries again
                    worker.start()
            self._idle.append(worker)
            self._changed.notify()


class _Worker:
    """One process, replaced when it is killed, and the socket to it."""

    def __init__(self, limits: MediaLimits) -> None:
        self._limits = limits
        self.start()

    def start(self) -> None:
        """Starts a process and returns at once.

        It is a fresh interpreter on nothing but its end of a socket: it inherits no other file, no thread, no secret,
        and gets neither the terminal's signals nor the caller's main module.
        """
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
        environment["OPENBLAS_NUM_THREADS"] = "1"  # else NumPy starts a thread per processor
        self._channel, theirs = socket.socketpair()
        self._ready = False
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 (this interpreter, our module)
                [sys.executable, "-P", "-m", "rwae_core.media.worker", json.dumps(asdict(self._limits))],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends the process; a thread that waits for its answer learns so."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the process when nobody waits for it."""
        self.kill()
        self._channel.close()

    def wait_until_ready(self, deadline: float | None) -> None:
        """Waits for a process to have started.

        Raises:
            MediaTimeoutError: it needs longer than until `deadline`.
            RuntimeError: it does not start.
        """
        if self._ready:
            return
        left = STARTUP_S if deadline is None else min(STARTUP_S, deadline - time.monotonic())
        try:
            self._channel.settimeout(max(left, 1e-3))
            self._ready = self._channel.recv(1) == READY
        except TimeoutError as error:
            if deadline is not None:
                raise MediaTimeoutError("No decoder was ready in time: try again later.") from error
        except OSError:
            pass
        if not self._ready:
            self.close()
            raise RuntimeError("A decoding process does not start; its standard error says why.")

    def decode(
        self,
        data: bytes,
        request: dict[str, Any],
        max_body: int,
        read: Callable[[dict[str, Any], bytearray], Answer],
        deadline: float | None,
    ) -> Answer:
        """Has the process decode; unless it answers as it should, it does not survive.

        Args:
            data: the file's bytes.
            request: what the process is told beside them.
            max_body: bytes of the largest answer.
            read: makes the clip from the header and the body of an answer, or raises ValueError, KeyError or TypeError.
            deadline: of `time.monotonic`.
        """
        if not self.alive:
            self._channel.close()
            self.start()
        self.wait_until_ready(deadline)
        stop = time.monotonic() + self._limits.timeout_s
        stop = stop if deadline is None else min(stop, deadline)
        try:
            send(self._channel, request, data, stop)
            header, body = receive(self._channel, max_body, stop)
            answer = MEDIA_ERRORS[header["error"]](header["message"]) if "error" in header else read(header, body)
        except TimeoutError as late:
            self.close()
            raise MediaTimeoutError("The file takes too long to decode: send a shorter or smaller clip.") from late
        except (OSError, EOFError, ValueError, KeyError, TypeError) as failure:
            raise self._buried() from failure
        except BaseException:
            self.close()
            raise
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def _buried(self) -> MediaError:
        """Ends the process and tells what it died of, or was about to."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(1)
        self.close()
        if self._process.returncode == OUT_OF_MEMORY:
            return MediaTooLargeError(
                "The file needs more memory to decode than is allowed: send a shorter or smaller clip."
            )
        if self._process.returncode == -signal.SIGXCPU:
            return MediaTimeoutError("The file takes too long to decode: send a shorter or smaller clip.")
        return UndecodableMediaError("The file makes the decoder fail: export the clip again, best as MP4 or WAV.")
