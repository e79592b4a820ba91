"""A file is decoded as what it is, video or sound, by the worker that finds out; or as what is wanted of it."""

from __future__ import annotations

import pytest
from mediafiles import animation, by_libsndfile, film, moving, sound_only, tone, worker_pids

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.errors import (
    MediaModalityError,
    MediaTooLargeError,
    UndecodableMediaError,
    UnsupportedMediaError,
)
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.media.wanted import Pictures, Sound, Wanted

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
PICTURES = Pictures(size=16, channels=1, fit="crop")
EITHER = Wanted(PICTURES, Sound(8_000))


@pytest.fixture(scope="module")
def pool():
    with MediaPool(1, MediaLimits(max_bytes=2**20, max_frames=4)) as pool:
        yield pool


@pytest.mark.parametrize("name", FILES)
def test_the_bytes_tell(pool, name):
    modality, make = FILES[name]
    clip = pool.decode(make(), EITHER)
    if modality == "video":
        assert isinstance(clip, VideoClip)
        assert clip.frames.shape == (3, 16, 16, 1)
    else:
        assert isinstance(clip, AudioClip)
        assert clip.sample_rate == 8_000


@pytest.mark.parametrize("name", FILES)
def test_what_nothing_is_wanted_of_is_told(pool, name):
    modality, make = FILES[name]
    wanted = Wanted(audio=EITHER.audio) if modality == "video" else Wanted(video=EITHER.video)
    with pytest.raises(MediaModalityError) as told:
        pool.decode(make(), wanted)
    assert told.value.modality == modality


def test_of_a_film_with_sound_either_can_be_had(pool):
    data = film(moving(3), sound="aac")
    assert isinstance(pool.decode(data, Wanted(PICTURES, EITHER.audio, read_as="video")), VideoClip)
    assert isinstance(pool.decode(data, Wanted(PICTURES, EITHER.audio, read_as="audio")), AudioClip)


def test_faults_tell_what_the_file_is_once_that_is_known(pool):
    before = worker_pids()
    for data, error, modality in (
        (b"", UndecodableMediaError, None),
        (b"no clip", UnsupportedMediaError, None),
        (film(moving(3))[:-200], UndecodableMediaError, None),
        (bytes(2**20 + 1), MediaTooLargeError, None),
        (film(moving(5)), MediaTooLargeError, "video"),
        (animation(moving(3), "GIF")[:-9], UndecodableMediaError, "video"),
        (by_libsndfile(SOUND, 16_000, "WAV")[:-9], UndecodableMediaError, "audio"),
    ):
        with pytest.raises(error) as told:
            pool.decode(data, EITHER)
        assert told.value.modality == modality
    assert worker_pids() == before
