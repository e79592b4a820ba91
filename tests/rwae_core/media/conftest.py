from __future__ import annotations

from collections.abc import Iterator

import pytest
from mediafiles import Decode, DecodeSound

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool


@pytest.fixture(scope="session")
def media_pool() -> Iterator[MediaPool]:
    with MediaPool(1, MediaLimits()) as pool:
        yield pool


@pytest.fixture(scope="session")
def decode(media_pool: MediaPool) -> Decode:
    """Decodes in a worker, as the service does: what a worker may not do shows in every test."""

    def decode(data: bytes, size: int = 64, channels: int = 3, fit: str = "crop") -> VideoClip:
        return media_pool.decode_video(data, size=size, channels=channels, fit=fit, timeout=30)  # type: ignore[arg-type]

    return decode


@pytest.fixture(scope="session")
def decode_sound(media_pool: MediaPool) -> DecodeSound:
    """Likewise, sound."""

    def decode_sound(data: bytes, sample_rate: int = 16_000) -> AudioClip:
        return media_pool.decode_audio(data, sample_rate=sample_rate, timeout=30)

    return decode_sound
