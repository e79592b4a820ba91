"""Clips from uploads and answers from clips, off the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import UploadFile

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.errors import MediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.media.process import Reason
from rwae_core.media.wanted import Wanted
from service.engine import QueueFullError
from service.errors import FieldError
from service.settings import Settings

Result = TypeVar("Result")

DECODER_MEMORY_MB = 1024


class MediaRooms:
    """The processes that decode uploads and the threads that encode answers.

    They are apart, so that slow uploads never hold up answers that are ready.
    """

    def __init__(self, settings: Settings) -> None:
        limits = MediaLimits(
            max_bytes=settings.max_upload_bytes,
            max_frames=settings.max_frames,
            max_pixels=settings.max_pixels,
            max_seconds=settings.max_seconds,
            timeout_s=settings.request_timeout_s,
            memory_mb=DECODER_MEMORY_MB,
        )
        self._pool = MediaPool(settings.decode_workers, limits)
        self._decoders = ThreadPoolExecutor(settings.decode_workers, "decode")
        self._encoders = ThreadPoolExecutor(settings.threads, "encode")
        self._room = settings.queue_size + settings.decode_workers
        self._workers = settings.decode_workers
        self._seconds_a_clip = 0.1
        self.decoding = 0

    @property
    def restarts(self) -> Mapping[Reason, int]:
        """How many decoding processes were replaced, by reason."""
        return self._pool.restarts

    async def read(self, field: str, upload: UploadFile, wanted: Wanted, deadline: float) -> VideoClip | AudioClip:
        """The clip of an upload, as it is wanted, by the deadline (`time.monotonic`).

        Raises:
            FieldError: the upload is at fault; its cause says how.
            QueueFullError: too many uploads wait to be decoded.
        """
        cancelled = threading.Event()

        def run() -> VideoClip | AudioClip:
            started = time.monotonic()
            upload.file.seek(0)
            data = upload.file.read()  # here, so that no more uploads are in memory than are decoded
            try:
                return self._pool.decode(data, wanted, timeout=deadline - started, cancelled=cancelled)
            finally:
                self._seconds_a_clip += 0.2 * (time.monotonic() - started - self._seconds_a_clip)

        if self.decoding >= self._room:
            seconds = math.ceil(self.decoding * self._seconds_a_clip / self._workers)
            raise QueueFullError(retry_after_s=min(60, max(1, seconds)))
        self.decoding += 1
        try:
            return await _in(self._decoders, run)
        except MediaError as error:
            raise FieldError(field, f"{field}: {error}", error) from error
        finally:
            cancelled.set()  # whoever waited has gone, or has an answer
            self.decoding -= 1

    async def write(self, render: Callable[[], Result]) -> Result:
        """Runs what makes an answer's bytes."""
        return await _in(self._encoders, render)

    def close(self) -> None:
        """Ends processes and threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
        self._encoders.shutdown(wait=False, cancel_futures=True)


async def _in(threads: ThreadPoolExecutor, work: Callable[[], Result]) -> Result:
    """Runs work in a thread that logs as the request it works for."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(threads, lambda: context.run(work))
