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

from rwae_core.config import ModelConfig
from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.errors import MediaError, UndecodableMediaError, UnsupportedMediaError
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.media.process import Reason
from rwae_core.media.sniff import Modality
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

    async def modality(self, field: str, upload: UploadFile, deadline: float) -> Modality | None:
        """Whether an upload is video or sound; None where that cannot be told, which decoding will say better.

        Raises:
            FieldError, QueueFullError: as for `read_video`.
        """

        def look(data: bytes, timeout: float, cancelled: threading.Event) -> Modality | None:
            try:
                return self._pool.modality(data, timeout=timeout, cancelled=cancelled)
            except (UnsupportedMediaError, UndecodableMediaError):
                return None

        return await self._read(field, upload, look, deadline)

    async def read_video(
        self, field: str, upload: UploadFile, config: ModelConfig, fit: Fit, deadline: float
    ) -> VideoClip:
        """The clip of an upload, fitted to a model, by the deadline (`time.monotonic`).

        Raises:
            FieldError: the upload is at fault; its cause says how.
            QueueFullError: too many uploads wait to be decoded.
        """

        def decode(data: bytes, timeout: float, cancelled: threading.Event) -> VideoClip:
            return self._pool.decode_video(
                data, size=config.size, channels=config.channels, fit=fit, timeout=timeout, cancelled=cancelled
            )

        return await self._read(field, upload, decode, deadline)

    async def read_audio(self, field: str, upload: UploadFile, sample_rate: int, deadline: float) -> AudioClip:
        """The sound of an upload at a model's rate, as `read_video` does it."""

        def decode(data: bytes, timeout: float, cancelled: threading.Event) -> AudioClip:
            return self._pool.decode_audio(data, sample_rate=sample_rate, timeout=timeout, cancelled=cancelled)

        return await self._read(field, upload, decode, deadline)

    async def _read(
        self, field: str, upload: UploadFile, use: Callable[[bytes, float, threading.Event], Result], deadline: float
    ) -> Result:
        cancelled = threading.Event()

        def run() -> Result:
            started = time.monotonic()
            upload.file.seek(0)
            data = upload.file.read()  # here, so that no more uploads are in memory than are decoded
            try:
                return use(data, deadline - started, cancelled)
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
