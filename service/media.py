"""Clips from uploads and answers from clips, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from fastapi import UploadFile

from rwae_core.config import ModelConfig
from rwae_core.media.clip import VideoClip
from rwae_core.media.errors import MediaError
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
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
            timeout_s=settings.request_timeout_s,
            memory_mb=DECODER_MEMORY_MB,
        )
        self._pool = MediaPool(settings.decode_workers, limits)
        self._decoders = ThreadPoolExecutor(settings.decode_workers, "decode")
        self._encoders = ThreadPoolExecutor(settings.threads, "encode")
        self._room = settings.queue_size + settings.decode_workers
        self._decoding = 0

    async def read(self, field: str, upload: UploadFile, config: ModelConfig, fit: Fit, deadline: float) -> VideoClip:
        """The clip of an upload, fitted to a model, by the deadline (`time.monotonic`).

        Raises:
            FieldError: the upload is at fault; its cause says how.
            QueueFullError: too many uploads wait to be decoded.
        """

        def decode() -> VideoClip:
            data = upload.file.read()  # here, so that no more uploads are in memory than are decoded
            return self._pool.decode_video(
                data, size=config.size, channels=config.channels, fit=fit, timeout=deadline - time.monotonic()
            )

        if self._decoding >= self._room:
            raise QueueFullError(retry_after_s=2)
        self._decoding += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._decoders, decode)
        except MediaError as error:
            raise FieldError(field, f"{field}: {error}", error) from error
        finally:
            self._decoding -= 1

    async def write(self, render: Callable[[], Result]) -> Result:
        """Runs what makes an answer's bytes."""
        return await asyncio.get_running_loop().run_in_executor(self._encoders, render)

    def close(self) -> None:
        """Ends processes and threads."""
        self._decoders.shutdown(wait=False, cancel_futures=True)
        self._pool.close()
        self._encoders.shutdown(wait=False, cancel_futures=True)
