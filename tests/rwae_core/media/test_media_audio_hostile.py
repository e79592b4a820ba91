"""Files that are asked for sound and are not what they seem; and workers that hang over them."""

from __future__ import annotations

import io
import os
import signal
import struct
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from mediafiles import (
    DecodeSound,
    animation,
    assert_refused,
    by_ffmpeg,
    by_libsndfile,
    exact_gif,
    film,
    moving,
    pixel_art,
    tone,
    worker_pids,
)
from test_media_hostile import UNSUPPORTED

from rwae_core.media import process as process_module
from rwae_core.media.clip import AudioClip
from rwae_core.media.errors import (
    MediaError,
    MediaModalityError,
    MediaTimeoutError,
    MediaTooLargeError,
    UndecodableMediaError,
    UnsupportedMediaError,
)
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool

NOISY = tone(16_000, 16_000) + np.random.default_rng(0).normal(0, 0.02, (16_000, 1))
SOUNDS = {
    "wav": by_libsndfile(NOISY, 16_000, "WAV"),
    "wav of floats": by_libsndfile(NOISY, 16_000, "WAVEX", "FLOAT"),
    "flac": by_libsndfile(NOISY, 16_000, "FLAC"),
    "ogg of vorbis": by_libsndfile(NOISY, 16_000, "OGG", "VORBIS"),
    "ogg of opus": by_libsndfile(NOISY, 16_000, "OGG", "OPUS"),
    "ogg of flac": by_ffmpeg(NOISY, 16_000, "ogg", "flac"),
    "mp3": by_libsndfile(NOISY, 16_000, "MP3"),
    "mp3 with a tag": by_ffmpeg(NOISY, 16_000, "mp3", "libmp3lame"),
    "mp4": by_ffmpeg(NOISY, 16_000, "ipod", "aac"),
    "webm": by_ffmpeg(NOISY, 16_000, "webm", "libopus"),
}


def wav_that_says(offset: int, form: str, value: int) -> bytes:
    """The plain WAV with another number at a place in its header."""
    data = bytearray(SOUNDS["wav"])
    struct.pack_into(form, data, offset, value)
    return bytes(data)


def flac_that_says(samples: int) -> bytes:
    data = bytearray(SOUNDS["flac"])
    described = int.from_bytes(data[18:26], "big")  # rate, channels, bits, and 36 bits of the number of samples
    data[18:26] = (described >> 36 << 36 | samples).to_bytes(8, "big")
    return bytes(data)


def holding(value: float, subtype: str) -> bytes:
    samples = np.zeros((2000, 2))
    samples[1234, 1] = value
    return by_libsndfile(samples, 16_000, "WAV", subtype)


def silence(seconds: int, rate: int, form: str, subtype: str) -> bytes:
    return by_libsndfile(np.zeros(seconds * rate, np.int16), rate, form, subtype)


def changing(*rates: int) -> bytes:
    """An MP3 of one rate after another."""
    return b"".join(
        by_ffmpeg(tone(rate, rate), rate, "mp3", "libmp3lame", muxer_options={"write_xing": "0", "id3v2_version": "0"})
        for rate in rates
    )


PICTURES = {
    "gif": exact_gif(pixel_art(4, 16, 16), [10] * 4),
    "webp": animation(pixel_art(4, 16, 16), "WEBP"),
    "apng": animation(pixel_art(4, 16, 16), "PNG"),
    "mp4 of pictures": film(moving(4)),
    "mov of pictures": film(moving(4), muxer="mov"),
    "webm of pictures": film(moving(4), muxer="webm", codec="libvpx-vp9"),
}

UNDECODABLE = {
    "empty": b"",
    "wav of a name alone": b"RIFF\x24\0\0\0WAVE",
    "wav of no sample": by_libsndfile(NOISY[:0], 16_000, "WAV"),
    "flac of no sample": by_libsndfile(NOISY[:0], 16_000, "FLAC"),
    "ogg of no sample": by_libsndfile(NOISY[:0], 16_000, "OGG"),
    "mp3 of no sample": by_libsndfile(NOISY[:0], 16_000, "MP3"),
    "wav of less than one sample": by_libsndfile(np.zeros(5), 192_000, "WAV"),
    "wav of no channel": wav_that_says(22, "<H", 0),
    "wav of 65,535 channels": wav_that_says(22, "<H", 65_535),
    "wav of no rate": wav_that_says(24, "<I", 0),
    "wav of a low rate": wav_that_says(24, "<I", 3_999),
    "wav of a high rate": wav_that_says(24, "<I", 192_001),
    "wav of an enormous rate": wav_that_says(24, "<I", 2**31 - 1),
    "wav of an unlisted codec": by_libsndfile(NOISY, 16_000, "WAV", "IMA_ADPCM"),
    "wav that lies, more": wav_that_says(40, "<I", 2**28),
    "flac that lies, more": flac_that_says(2**36 - 1),
    "wav of nan": holding(np.nan, "FLOAT"),
    "wav of infinity": holding(np.inf, "FLOAT"),
    "wav of minus infinity": holding(-np.inf, "DOUBLE"),
    "wav of numbers beyond float32": holding(1e300, "DOUBLE"),
    "wav with text inside": SOUNDS["wav"][:36] + b"#EXTM3U\nfile:///etc/passwd\n" * 9,
    "flac with text inside": b"fLaC" + b"#EXTM3U\nfile:///etc/passwd\n" * 9,
    "ogg with text inside": b"OggS" + b"#EXTM3U\nfile:///etc/passwd\n" * 9,
    "mp3 with text inside": b"ID3\3\0\0\0\0\0\0" + b"#EXTM3U\nfile:///etc/passwd\n" * 99,
    "mp3 of one frame": b"\xff\xfb\x90\x64" + bytes(413),
    "mp3 of a tag alone": b"ID3\3\0\0\0\0\0\1\0",
    "mp3 of half a tag": b"ID3\3",
    "mp3 that changes its rate": changing(16_000, 48_000),
    "mp4 of a name alone": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "wav of many chunks": SOUNDS["wav"][:36] + bytes(8 * 60_000) + SOUNDS["wav"][36:],
    "ogg of many pages": SOUNDS["ogg of opus"] + (b"OggS" + bytes(23)) * 60_000,
    "mp4 of many boxes": SOUNDS["mp4"] + b"\0\0\0\x08free" * 60_000,
    "matroska of an unlisted codec": by_ffmpeg(NOISY, 16_000, "matroska", "mp2"),
}

TOO_LARGE = {
    "wav of 9 channels": by_libsndfile(np.zeros((1600, 9)), 16_000, "WAV"),
    "ogg of 16 channels": by_libsndfile(np.zeros((1600, 16)), 16_000, "OGG", "VORBIS"),
    "wav of 61 s": silence(61, 4_000, "WAV", "PCM_U8"),
    "flac of 4 hours": silence(4 * 3600, 4_000, "FLAC", "PCM_S8"),
    "flac of 4 hours that says 1 s": silence(4 * 3600, 4_000, "FLAC", "PCM_S8").replace(
        (4 * 3600 * 4_000).to_bytes(4, "big"), (4_000).to_bytes(4, "big"), 1
    ),
    "ogg of 20 minutes": silence(1200, 4_000, "OGG", "VORBIS"),
    "too many bytes": bytes(MediaLimits().max_bytes + 1),
}

EXPECTED: list[tuple[str, bytes, type[MediaError]]] = [
    *((name, data, UnsupportedMediaError) for name, data in UNSUPPORTED.items()),
    *((name, data, MediaModalityError) for name, data in PICTURES.items()),
    *((name, data, UndecodableMediaError) for name, data in UNDECODABLE.items()),
    *((name, data, MediaTooLargeError) for name, data in TOO_LARGE.items()),
]


@pytest.mark.parametrize(("data", "error"), [pytest.param(*case[1:], id=case[0]) for case in EXPECTED])
def test_each_is_refused_for_what_it_is(decode_sound: DecodeSound, data: bytes, error: type[MediaError]) -> None:
    assert_refused(lambda: decode_sound(data), error)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("wav of nan", "finite"),
        ("wav of a low rate", "3,999 samples per second"),
        ("wav of less than one sample", "no sample"),
        ("wav of no sample", "no sample"),
        ("wav of an unlisted codec", "unsupported way"),
        ("mp3 that changes its rate", "midway"),
        ("wav that lies, more", "cut off"),
        ("flac that lies, more", "cut off"),
        ("wav of 9 channels", "9 channels"),
        ("flac of 4 hours", "60 s"),
        ("mp4 of pictures", "pictures and no sound"),
    ],
)
def test_the_sentence_says_why(decode_sound: DecodeSound, name: str, sentence: str) -> None:
    with pytest.raises(MediaError, match=sentence):
        decode_sound({**UNDECODABLE, **TOO_LARGE, **PICTURES}[name])


@pytest.mark.parametrize("kind", SOUNDS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.9, 0.99])
def test_cut_off_files_are_refused(decode_sound: DecodeSound, kind: str, share: float) -> None:
    with pytest.raises(UndecodableMediaError):
        decode_sound(SOUNDS[kind][: int(len(SOUNDS[kind]) * share)])


@pytest.mark.parametrize("kind", SOUNDS)
def test_what_is_cut_off_decodes_when_whole(decode_sound: DecodeSound, kind: str) -> None:
    assert 16_000 <= len(decode_sound(SOUNDS[kind]).samples) < 17_024


@pytest.mark.parametrize("cut", range(3))
def test_flac_that_ends_between_two_frames_is_cut_off(decode_sound: DecodeSound, cut: int) -> None:
    data, frames = SOUNDS["flac"], []
    with av.open(io.BytesIO(data)) as container:
        frames = [packet.pos for packet in container.demux() if packet.pos]
    with pytest.raises(UndecodableMediaError, match="cut off"):
        decode_sound(data[: frames[cut + 1]])


@pytest.mark.parametrize("said", [0, 0x7FFF_0000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF])
def test_wav_that_does_not_know_its_length_decodes(decode_sound: DecodeSound, said: int) -> None:
    """As programs write it to a pipe."""
    data = bytearray(wav_that_says(40, "<I", said))
    struct.pack_into("<I", data, 4, min(said + 36, 0xFFFF_FFFF))
    np.testing.assert_array_equal(decode_sound(bytes(data)).samples, decode_sound(SOUNDS["wav"]).samples)


@pytest.mark.parametrize("said", [0, 1, 15_999])
def test_flac_that_tells_less_than_it_holds_decodes(decode_sound: DecodeSound, said: int) -> None:
    np.testing.assert_array_equal(decode_sound(flac_that_says(said)).samples, decode_sound(SOUNDS["flac"]).samples)


def test_wav_ends_where_it_says(decode_sound: DecodeSound) -> None:
    samples = decode_sound(wav_that_says(40, "<I", 2_000)).samples
    np.testing.assert_array_equal(samples, decode_sound(SOUNDS["wav"]).samples[:1_000])


@pytest.mark.parametrize("after", [b"TAG" + bytes(125), b"LIST\4\0\0\0INFO", b"\0" * 100, b"hello" * 20])
@pytest.mark.parametrize("kind", ["wav", "ogg of vorbis"])
def test_what_follows_the_sound_does_not_matter(decode_sound: DecodeSound, kind: str, after: bytes) -> None:
    assert len(decode_sound(SOUNDS[kind] + after).samples) == 16_000


def test_silence_of_hours_needs_little_memory() -> None:
    """What is decoded up to the limit is all that is ever held."""
    with MediaPool(1, MediaLimits(memory_mb=16)) as pool:
        for name in ("flac of 4 hours", "ogg of 20 minutes"):
            with pytest.raises(MediaTooLargeError, match="60 s"):
                pool.decode_audio(TOO_LARGE[name], sample_rate=16_000)
        assert len(pool.decode_audio(silence(60, 44_100, "FLAC", "PCM_S8"), sample_rate=16_000).samples) == 960_000


def test_seconds_are_those_of_the_sound() -> None:
    """Not one sample more than allowed, whatever an encoder puts before and after."""
    kinds = ("wav", "flac", "ogg of vorbis", "ogg of opus", "mp3")
    with MediaPool(1, MediaLimits(max_seconds=1.0)) as pool:
        for kind in kinds:
            assert len(pool.decode_audio(SOUNDS[kind], sample_rate=16_000).samples) == 16_000
    with MediaPool(1, MediaLimits(max_seconds=0.9999)) as pool:
        for kind in kinds:
            with pytest.raises(MediaTooLargeError):
                pool.decode_audio(SOUNDS[kind], sample_rate=16_000)


@pytest.mark.parametrize("seed", range(300))
def test_damaged_files_give_a_clip_or_an_error(decode_sound: DecodeSound, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(SOUNDS[list(SOUNDS)[seed % len(SOUNDS)]])
    for _ in range(int(rng.integers(1, 12))):
        near = len(data) if rng.integers(0, 2) else min(len(data), 200)  # headers are where the harm is
        position = int(rng.integers(0, near))
        match rng.integers(0, 4):
            case 0:
                data[position] = int(rng.integers(0, 256))
            case 1:
                data[position] ^= 1 << int(rng.integers(0, 8))
            case 2:
                del data[position : position + int(rng.integers(1, 20))]
            case _:
                data[position:position] = rng.bytes(int(rng.integers(1, 20)))
    try:
        clip = decode_sound(bytes(data))
    except MediaError:
        pass
    else:
        assert isinstance(clip, AudioClip)
        assert clip.samples.dtype == np.float32
        assert 1 <= len(clip.samples) <= 60 * 16_000
        assert np.abs(clip.samples).max() <= 1


@pytest.fixture
def elsewhere() -> set[int]:
    """Workers of other pools."""
    return set(worker_pids())


def test_a_worker_that_hangs_is_killed(elsewhere: set[int]) -> None:
    for limits, timeout in ((MediaLimits(timeout_s=0.3), None), (MediaLimits(), 0.2)):
        with MediaPool(1, limits) as pool:
            pids = set(worker_pids()) - elsewhere
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            for _ in pids:
                with pytest.raises(MediaTimeoutError):
                    pool.decode_audio(SOUNDS["wav"], sample_rate=16_000, timeout=timeout)
            assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
            assert pool.restarts["timed_out"] == len(pids)
            assert len(pool.decode_audio(SOUNDS["wav"], sample_rate=16_000, timeout=30).samples) == 16_000


def test_memory_is_bounded() -> None:
    with MediaPool(1, MediaLimits(memory_mb=16)) as pool:
        with pytest.raises(MediaTooLargeError, match="memory"):
            pool.decode_audio(silence(50, 192_000, "FLAC", "PCM_S8"), sample_rate=192_000)
        assert len(pool.decode_audio(SOUNDS["wav"], sample_rate=16_000).samples) == 16_000


def test_memory_does_not_add_up_and_no_thread_is_started(elsewhere: set[int]) -> None:
    with MediaPool(1, MediaLimits(memory_mb=64)) as pool:
        pids = set(worker_pids()) - elsewhere
        threads = set()
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                threads.update(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)
                done.wait(0.001)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for data in [*SOUNDS.values(), silence(20, 48_000, "FLAC", "PCM_S8")] * 8:
                pool.decode_audio(data, sample_rate=48_000)
        finally:
            done.set()
            watcher.join()
        assert set(worker_pids()) - elsewhere == pids
    assert threads == {1}


@pytest.mark.parametrize("samples", [[0.5, np.nan], [0.5, 1.5]])
def test_a_worker_is_not_believed(monkeypatch: pytest.MonkeyPatch, elsewhere: set[int], samples: list[float]) -> None:
    """What a worker sends that hostile bytes have taken over is no clip just because it says so."""
    with MediaPool(1, MediaLimits()) as pool:
        pids = set(worker_pids()) - elsewhere
        body = bytearray(np.array(samples, np.float32).tobytes())
        monkeypatch.setattr(process_module, "receive", lambda *_: ({}, body))
        with pytest.raises(UndecodableMediaError):
            pool.decode_audio(SOUNDS["wav"], sample_rate=16_000)
        assert sum(Path(f"/proc/{pid}").exists() for pid in pids) == len(pids) - 1
