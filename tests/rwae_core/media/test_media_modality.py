"""Whether a file is video or sound, told without decoding it."""

from __future__ import annotations

import pytest
from mediafiles import animation, by_libsndfile, film, moving, sound_only, tone, worker_pids

from rwae_core.media.errors import MediaTooLargeError, UndecodableMediaError, UnsupportedMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool

SOUND = tone(16_000, 4_000)
FILES = {
    "mp4": ("video", lambda: film(moving(3))),
    "mp4 with sound": ("video", lambda: film(moving(3), sound="aac")),
    "mp4 of sound": ("audio", lambda: sound_only("mp4", "aac")),
    "webm": ("video", lambda: film(moving(3), muxer="webm", codec="libvpx-vp9", pixels="yuv420p")),
    "webm of sound": ("audio", lambda: sound_only("webm", "libopus")),
    "gif": ("video", lambda: animation(moving(3), "GIF")),
    "webp": ("video", lambda: animation(moving(3), "WEBP")),
    "apng": ("video", lambda: animation(moving(3), "PNG")),
    "wav": ("audio", lambda: by_libsndfile(SOUND, 16_000, "WAV")),
    "flac": ("audio", lambda: by_libsndfile(SOUND, 16_000, "FLAC")),
    "ogg": ("audio", lambda: by_libsndfile(SOUND, 16_000, "OGG")),
    "mp3": ("audio", lambda: by_libsndfile(SOUND, 16_000, "MP3")),
}


@pytest.fixture(scope="module")
def pool():
    with MediaPool(1, MediaLimits(max_bytes=2**20)) as pool:
        yield pool


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_tell(pool, name):
    modality, make = FILES[name]
    assert pool.modality(make()) == modality


def test_what_cannot_be_told_is_refused_and_costs_no_process(pool):
    before = worker_pids()
    for data, error in (
        (b"", UndecodableMediaError),
        (b"no clip", UnsupportedMediaError),
        (film(moving(3))[:-200], UndecodableMediaError),
        (bytes(2**20 + 1), MediaTooLargeError),
    ):
        with pytest.raises(error):
            pool.modality(data)
    assert worker_pids() == before
