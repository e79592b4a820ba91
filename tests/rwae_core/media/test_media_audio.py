"""What comes out of sound files of each kind, and what is written."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any, get_args

import av
import numpy as np
import pytest
import soundfile
from mediafiles import DecodeSound, Sound, by_ffmpeg, by_libsndfile, film, moving, tone

from rwae_core.media.encode import AUDIO_MEDIA_TYPES, AudioFormat, encode_audio
from rwae_core.media.sniff import sniff

Make = Callable[[Sound, int], bytes]

ID3V2, ID3V1 = b"ID3\3\0\0\0\0\2\1" + bytes(257), b"TAG" + bytes(125)
LAME_SCALE = 0.95
"""What LAME multiplies samples by at a constant bit rate."""

EXACT: dict[str, Make] = {
    "wav of 8 bits": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "PCM_U8"),
    "wav of 16 bits": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "PCM_16"),
    "wav of 24 bits": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "PCM_24"),
    "wav of 32 bits": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "PCM_32"),
    "wav of floats": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "FLOAT"),
    "wav of doubles": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "DOUBLE"),
    "wav of a telephone": lambda samples, rate: by_libsndfile(samples, rate, "WAV", "ULAW"),
    "extensible wav": lambda samples, rate: by_libsndfile(samples, rate, "WAVEX", "PCM_24"),
    "extensible wav of floats": lambda samples, rate: by_libsndfile(samples, rate, "WAVEX", "FLOAT"),
    "flac": lambda samples, rate: by_libsndfile(samples, rate, "FLAC", "PCM_16"),
    "flac of 24 bits": lambda samples, rate: by_libsndfile(samples, rate, "FLAC", "PCM_24"),
    "ogg of vorbis": lambda samples, rate: by_libsndfile(samples, rate, "OGG", "VORBIS"),
}
"""At any rate, in any number of channels."""
EXACT_IN_STEREO: dict[str, Make] = {
    "ogg of flac": lambda samples, rate: by_ffmpeg(samples, rate, "ogg", "flac"),
    "matroska of flac": lambda samples, rate: by_ffmpeg(samples, rate, "matroska", "flac"),
    "mov of pcm": lambda samples, rate: by_ffmpeg(samples, rate, "mov", "pcm_s16be"),
    "mp4 of alac": lambda samples, rate: by_ffmpeg(samples, rate, "ipod", "alac"),
    "mp3": lambda samples, rate: by_libsndfile(samples, rate, "MP3"),
    "mp3 with tags": lambda samples, rate: ID3V2 + by_libsndfile(samples, rate, "MP3") + ID3V1,
    "mp3 of variable rate": lambda samples, rate: by_ffmpeg(
        samples, rate, "mp3", "libmp3lame", options={"flags": "+qscale", "global_quality": "236"}
    ),
}
"""At the rates that encoders of MP3 take."""
OPUS: dict[str, Make] = {
    "ogg of opus": lambda samples, rate: by_libsndfile(samples, rate, "OGG", "OPUS"),
    "webm": lambda samples, rate: by_ffmpeg(samples, rate, "webm", "libopus"),
    "webm as recorded": lambda samples, rate: by_ffmpeg(samples, rate, "webm", "libopus", muxer_options={"live": "1"}),
}
"""Exact at 48 kHz, to which Opus is decoded."""
PADDED: dict[str, tuple[Make, int, int]] = {
    "mp4 of aac": (lambda samples, rate: by_ffmpeg(samples, rate, "ipod", "aac"), 0, 1023),
    "matroska of aac": (lambda samples, rate: by_ffmpeg(samples, rate, "matroska", "aac"), 0, 1023),
    "mp4 in fragments": (
        lambda samples, rate: by_ffmpeg(
            samples, rate, "mp4", "aac", muxer_options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        ),
        1024,
        1023,
    ),
    "mp3 without a header": (
        lambda samples, rate: by_ffmpeg(
            samples / LAME_SCALE, rate, "mp3", "libmp3lame", muxer_options={"write_xing": "0"}
        ),
        1105,
        1151,
    ),
}
"""Files that do not tell how many samples the encoder put before, exactly so many, and after, at most so many."""
ALL: dict[str, Make] = {**EXACT, **EXACT_IN_STEREO, **OPUS, **{name: made[0] for name, made in PADDED.items()}}


def level_db(samples: Sound) -> float:
    return 10 * math.log10(float(np.mean(np.square(samples))))


def check_tone(samples: Sound, rate: int, before: int = 0) -> None:
    """A sine of 440 Hz, 0.4 high, that starts after so many samples: of the right level, pitch and phase."""
    assert samples.dtype == np.float32
    inner = slice(before + len(samples) // 10, -len(samples) // 10)
    angle = (np.arange(len(samples)) - before) * math.tau * 440 / rate
    sines = np.stack([np.sin(angle), np.cos(angle)], axis=1)[inner]
    (sine, cosine), *_ = np.linalg.lstsq(sines, samples[inner])
    assert 20 * math.log10(math.hypot(sine, cosine) / 0.4) == pytest.approx(0, abs=0.2)
    assert level_db(samples[inner]) == pytest.approx(level_db(np.array([0.4 / math.sqrt(2)])), abs=0.2)
    assert math.atan2(cosine, sine) == pytest.approx(0, abs=0.02)  # of 2π: a shift of 7 µs


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize(
    ("rate", "channels"), [(4_000, 1), (11_025, 2), (16_000, 1), (22_050, 3), (44_100, 2), (48_000, 8), (192_000, 1)]
)
def test_sound_comes_back(decode_sound: DecodeSound, kind: str, rate: int, channels: int) -> None:
    count = rate // 3 + 7
    clip = decode_sound(EXACT[kind](tone(rate, count, channels), rate))
    assert clip.samples.shape == (round(count * 16_000 / rate),)
    assert clip.sample_rate == 16_000
    check_tone(clip.samples, 16_000)


@pytest.mark.parametrize("kind", EXACT_IN_STEREO)
@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (16_000, 2), (44_100, 2), (48_000, 1)])
def test_what_encoders_add_is_left_out(decode_sound: DecodeSound, kind: str, rate: int, channels: int) -> None:
    count = rate + 7
    clip = decode_sound(EXACT_IN_STEREO[kind](tone(rate, count, channels), rate))
    assert len(clip.samples) == round(count * 16_000 / rate)
    check_tone(clip.samples, 16_000)


@pytest.mark.parametrize("kind", OPUS)
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (48_000, 2)])
def test_what_browsers_record_comes_back(decode_sound: DecodeSound, kind: str, rate: int, channels: int) -> None:
    count = rate // 2 + 8
    clip = decode_sound(OPUS[kind](tone(rate, count, channels), rate))
    assert len(clip.samples) == round(count * 16_000 / rate)
    check_tone(clip.samples, 16_000)


@pytest.mark.parametrize("kind", PADDED)
@pytest.mark.parametrize("channels", [1, 2])
def test_files_that_do_not_tell_what_was_added_come_back_longer(
    decode_sound: DecodeSound, kind: str, channels: int
) -> None:
    make, before, after = PADDED[kind]
    clip = decode_sound(make(tone(44_100, 30_000, channels), 44_100), 44_100)
    assert 0 <= len(clip.samples) - 30_000 - before <= after
    check_tone(clip.samples[: before + 30_000], 44_100, before)


@pytest.mark.parametrize("kind", ["ogg of opus", "mp4 of aac", "webm"])
def test_surround_is_mixed_to_the_mean(decode_sound: DecodeSound, kind: str) -> None:
    """Of 5.1, these codecs keep little of the channel for low frequencies: it stays silent here."""
    samples = tone(48_000, 24_000) * np.array([1.2, 1.2, 1.2, 0, 1.2, 1.2])
    if kind == "ogg of opus":  # in Vorbis' order
        samples = samples[:, [0, 1, 2, 4, 5, 3]]
    check_tone(decode_sound(ALL[kind](samples, 48_000)).samples[:8000], 16_000)


@pytest.mark.parametrize("kind", [*EXACT, "mp3", "ogg of opus"])
def test_libsndfile_reads_the_same(decode_sound: DecodeSound, kind: str) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (30_000, 2))
    data = ALL[kind](noise, 48_000)
    expected, rate = soundfile.read(io.BytesIO(data), dtype="float64")
    samples = decode_sound(data, rate).samples
    assert len(samples) == len(expected)
    np.testing.assert_allclose(samples, expected.mean(1), atol=1e-3 if kind in {"mp3", "ogg of opus"} else 1e-6)


@pytest.mark.parametrize("rate", [4_000, 8_000, 16_000, 44_100, 44_101, 48_000, 191_999, 192_000])
@pytest.mark.parametrize("count", [1, 2, 11, 100, 1001, 9_999])
@pytest.mark.parametrize("target", [8_000, 16_000, 44_100])
def test_lengths_are_exact(decode_sound: DecodeSound, rate: int, count: int, target: int) -> None:
    data = by_libsndfile(np.full(count, 0.25), rate, "WAV", "FLOAT")
    length = round(count * target / rate)
    if length:
        assert len(decode_sound(data, target).samples) == length


@pytest.mark.parametrize("kind", ["wav of 16 bits", "flac", "ogg of vorbis", "ogg of opus"])
@pytest.mark.parametrize("count", [100, 960, 5_000, 24_000, 70_001])
def test_short_clips_keep_their_length(decode_sound: DecodeSound, kind: str, count: int) -> None:
    """Vorbis of a single page too, of whose end FFmpeg is wrong."""
    assert len(decode_sound(ALL[kind](tone(48_000, count), 48_000), 48_000).samples) == count


@pytest.mark.parametrize("rate", [8_000, 44_100, 44_101, 48_000, 192_000])
def test_resampling_neither_shifts_nor_drifts(decode_sound: DecodeSound, rate: int) -> None:
    """Clicks, smooth enough for either rate, stay where they are, to a thousandth of a sample after 20 s."""
    times = np.array([0.01, 0.5, 10.0, 19.99])
    count = 20 * rate
    samples = np.zeros(count)
    for time in times:
        near = np.arange(max(0, int((time - 0.01) * rate)), min(count, int((time + 0.01) * rate)))
        samples[near] += 0.5 * np.exp(-0.5 * ((near / rate - time) / 4e-4) ** 2)
    out = decode_sound(by_libsndfile(samples, rate, "WAV", "FLOAT")).samples
    for time in times:
        near = np.arange(int((time - 0.004) * 16_000), int((time + 0.004) * 16_000))
        assert np.sum((near - time * 16_000) * out[near]) / np.sum(out[near]) == pytest.approx(0, abs=1e-3)
        assert out[near].max() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 44_101, 48_000, 192_000])
def test_sines_stay_sines(decode_sound: DecodeSound, rate: int) -> None:
    """Up to 90% of the band within 0.01 dB and -60 dB of error; what the target cannot hold is gone."""

    def sine(frequency: float, at: int) -> Sound:
        return 0.5 * np.sin(np.arange(at // 2) * math.tau * frequency / at)

    band = min(rate, 16_000) / 2
    for frequency in (50, 997, 0.9 * band):
        out = decode_sound(by_libsndfile(sine(frequency, rate), rate, "WAV", "FLOAT")).samples[800:-800]
        expected = sine(frequency, 16_000)[800 : 800 + len(out)]
        assert level_db(out) == pytest.approx(level_db(expected), abs=0.01)
        assert level_db(out - expected) < level_db(expected) - 60
    if rate > 16_000:
        out = decode_sound(by_libsndfile(sine(1.1 * band, rate), rate, "WAV", "FLOAT")).samples[800:-800]
        assert level_db(out) < -90


def test_where_there_is_no_sound_there_is_silence(decode_sound: DecodeSound) -> None:
    """A constant starts and ends at full height, but for the ringing of the steps into silence."""
    out = decode_sound(by_libsndfile(np.full(48_000, 0.5), 48_000, "WAV", "FLOAT")).samples
    np.testing.assert_allclose(out, 0.5, atol=0.26)
    np.testing.assert_allclose(out[100:-100], 0.5, atol=2e-3)


def test_what_is_too_loud_is_clipped(decode_sound: DecodeSound) -> None:
    for subtype in ("FLOAT", "DOUBLE"):
        samples = decode_sound(by_libsndfile(3 * tone(16_000, 1600), 16_000, "WAV", subtype)).samples
        np.testing.assert_allclose(samples, np.clip(3 * tone(16_000, 1600)[:, 0], -1, 1), atol=1e-6)
    assert np.abs(decode_sound(by_ffmpeg(2.5 * tone(48_000, 9000), 48_000, "webm", "libopus")).samples).max() <= 1


def test_channels_that_cancel_are_silent(decode_sound: DecodeSound) -> None:
    opposite = tone(48_000, 4800) * np.array([1, -1])
    assert np.abs(decode_sound(by_libsndfile(opposite, 48_000, "WAV", "FLOAT")).samples).max() < 1e-6


@pytest.mark.parametrize(
    "made",
    [
        {"sound": "aac"},
        {"muxer": "mov", "sound": "pcm_s16le"},
        {"muxer": "webm", "codec": "libvpx-vp9", "sound": "libopus"},
    ],
)
def test_of_films_the_sound_is_taken(decode_sound: DecodeSound, made: dict[str, Any]) -> None:
    samples = decode_sound(film(moving(), **made)).samples
    assert 8000 <= len(samples) <= 8000 + 1024 // 3
    assert level_db(samples[800:7200]) == pytest.approx(level_db(np.array([9000 / 2**15 / math.sqrt(2)])), abs=0.2)


def test_of_two_streams_the_first_is_taken(decode_sound: DecodeSound) -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        streams = [container.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        for stream, height in zip(streams, (8_000, 16_000), strict=True):
            sound = av.AudioFrame.from_ndarray(np.full((1, 1600), height, np.int16), "s16", "mono")
            sound.sample_rate, sound.pts = 16_000, 0
            container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    np.testing.assert_allclose(decode_sound(file.getvalue()).samples, 8_000 / 2**15, atol=1e-6)


def test_sounds_that_follow_each_other_in_an_ogg_are_all_kept(decode_sound: DecodeSound) -> None:
    one, two = (by_libsndfile(tone(16_000, count), 16_000, "OGG", "VORBIS") for count in (48_000, 16_000))
    assert len(decode_sound(one + two).samples) >= 64_000


def test_every_audio_format_has_a_media_type() -> None:
    assert set(AUDIO_MEDIA_TYPES) == set(get_args(AudioFormat)) == {"wav", "flac", "ogg"}


@pytest.mark.parametrize("form", get_args(AudioFormat))
@pytest.mark.parametrize("rate", [4_000, 16_000, 22_050, 44_101, 48_000, 192_000])
@pytest.mark.parametrize("count", [1, 160, 24_000, 70_001])
def test_what_we_write_we_and_libsndfile_read(
    decode_sound: DecodeSound, form: AudioFormat, rate: int, count: int
) -> None:
    samples = tone(rate, count)[:, 0].astype(np.float32)
    data = encode_audio(samples, rate, form)
    assert sniff(data) == form
    expected, read_rate = soundfile.read(io.BytesIO(data), dtype="float32")
    ours = decode_sound(data, rate)
    assert (read_rate, len(expected), ours.samples.shape) == (rate, count, (count,))
    np.testing.assert_allclose(ours.samples, np.clip(expected, -1, 1), atol=1e-6)
    if form != "ogg":
        np.testing.assert_allclose(ours.samples, samples, atol=0.51 / 2**15)
    elif count > 10_000:
        check_tone(ours.samples, rate)


def test_wav_is_the_default_and_plain() -> None:
    data = encode_audio(np.zeros(100, np.float32), 16_000)
    assert data[:4] + data[8:16] == b"RIFFWAVEfmt "
    assert data[36:40] == b"data"  # behind the shortest header there is
    assert len(data) == 44 + 200


@pytest.mark.parametrize("form", ["wav", "flac"])
def test_sixteen_bits_come_back_as_they_are(decode_sound: DecodeSound, form: AudioFormat) -> None:
    every = np.arange(-(2**15), 2**15) / 2**15
    np.testing.assert_array_equal(decode_sound(encode_audio(every, 16_000, form)).samples, every)


@pytest.mark.parametrize("form", get_args(AudioFormat))
@pytest.mark.parametrize("height", [1.0, 1.0001, 1.5, 2.0, 1e6, 1e30])
def test_what_is_too_loud_does_not_wrap_around(form: AudioFormat, height: float) -> None:
    steps = np.repeat([height, -height], 400).astype(np.float32)
    samples, _ = soundfile.read(io.BytesIO(encode_audio(steps, 16_000, form)))
    inner = np.r_[100:300, 500:700] if form == "ogg" else np.arange(800)
    np.testing.assert_allclose(samples[inner], np.sign(steps)[inner], atol=0.3 if form == "ogg" else 2**-15)


def test_ten_minutes_of_vorbis_are_written(decode_sound: DecodeSound) -> None:
    """In one piece they would overflow libsndfile's stack."""
    assert soundfile.info(io.BytesIO(encode_audio(np.zeros(4_000 * 600), 4_000, "ogg"))).frames == 4_000 * 600


@pytest.mark.parametrize(
    ("samples", "rate"),
    [
        (np.zeros(0), 16_000),
        (np.zeros((100, 1)), 16_000),
        (np.array([0, np.nan]), 16_000),
        (np.array([0, np.inf]), 16_000),
        (np.zeros(100), 0),
        (np.zeros(100), 3_999),
        (np.zeros(100), 192_001),
    ],
)
def test_what_is_no_sound_is_refused(samples: Sound, rate: int) -> None:
    with pytest.raises(ValueError, match=r"is|are"):
        encode_audio(samples, rate)
