"""Files that are not what they seem, each of which must be refused for what it is, or decoded, and nothing else."""

from __future__ import annotations

import io
import struct
import zipfile

import av
import numpy as np
import pytest
from mediafiles import (
    Decode,
    animation,
    assert_refused,
    black_apng,
    exact_gif,
    film,
    many_frames_gif,
    moving,
    pixel_art,
    png_chunk,
    sound_only,
    wav,
)
from PIL import Image

from rwae_core.media.clip import VideoClip
from rwae_core.media.errors import (
    MediaError,
    MediaModalityError,
    MediaTooLargeError,
    UndecodableMediaError,
    UnsupportedMediaError,
)
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool

HLS = b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10.0,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
SVG = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


def still(kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(moving(1)[0]).save(file, kind)
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as content:
        content.writestr("clip.mp4", film(moving(2)))
    return file.getvalue()


CLIPS = {
    "mp4": film(moving()),
    "mov": film(moving(), muxer="mov"),
    "webm": film(moving(), muxer="webm", codec="libvpx-vp9"),
    "gif": exact_gif(pixel_art(4, 32, 32), [10] * 4),
    "webp": animation(pixel_art(4, 32, 32), "WEBP"),
    "apng": animation(pixel_art(4, 32, 32), "PNG"),
}


def huge(kind: str) -> bytes:
    """A file that claims 30,000×30,000 pixels."""
    side = 30_000
    data = bytearray(CLIPS[kind])
    if kind == "gif":
        struct.pack_into("<HH", data, 6, side, side)
    elif kind == "webp":
        data[24:30] = (side - 1).to_bytes(3, "little") * 2
    elif kind == "apng":
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        data[8:33] = png_chunk(b"IHDR", header)
    return bytes(data)


def huge_h264(said: int) -> bytes:
    """An MP4 whose H.264 is of 30,000×30,000 pixels, though the container may say otherwise."""
    bits = f"{66:08b}{0:08b}{51:08b}"  # profile, constraints, level
    for value in (0, 0, 2, 1):  # number, bits of a frame's number, order of display, references
        bits += exp_golomb(value)
    bits += "0" + exp_golomb(30_000 // 16 - 1) * 2 + "11001"  # blocks across and down, frames, no cropping, end
    bits += "0" * (-len(bits) % 8)
    sequence = b"\x67" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    record = b"\1\x42\0\x33\xff\xe1" + len(sequence).to_bytes(2, "big") + sequence + b"\1\0\4\x68\xce\x38\x80"
    data = bytearray(CLIPS["mp4"])
    places = [0]
    for box in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"avc1", b"avcC"):
        places.append(data.index(box, places[-1]))
    struct.pack_into(">HH", data, places[-2] + 28, said, said)
    start, length = places[-1] + 4, int.from_bytes(data[places[-1] - 4 : places[-1]], "big") - 8
    data[start : start + length] = record
    for place in places[1:]:
        size = int.from_bytes(data[place - 4 : place], "big") + len(record) - length
        data[place - 4 : place] = size.to_bytes(4, "big")
    return bytes(data)


def huge_vp8() -> bytes:
    """A WebM of 64×64 pixels whose VP8 is of 16,383×16,383."""
    data = bytearray(film(moving(), muxer="webm", codec="libvpx", pixels="yuv420p"))
    struct.pack_into("<HH", data, data.index(b"\x9d\x01\x2a") + 3, 16_383, 16_383)
    return bytes(data)


def exp_golomb(value: int) -> str:
    return f"{value + 1:b}".zfill(2 * (value + 1).bit_length() - 1)


def huge_gif_frame() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(6)
    return head + b"\x2c" + struct.pack("<HHHHB", 0, 0, 30_000, 30_000, 0) + b"\x02\x02\x44\x01\x00\x3b"


UNSUPPORTED = {
    "text": b"a clip, believe me\n" * 9,
    "text that looks like a box": b"Some free text, which is gluten free too.",
    "utf-16": "\ufeffclip".encode("utf-16-le"),
    "ffconcat": b"ffconcat version 1.0\nfile /etc/passwd\n",
    "hls": HLS,
    "svg": SVG,
    "zip": archive(),
    "html": b"<!doctype html><video src=clip.mp4>",
    "pdf": b"%PDF-1.7\n",
    "avi": b"RIFF\x00\x10\x00\x00AVI LIST" + bytes(64),
    "zeros": bytes(4096),
    "still png": still("PNG"),
    "still jpeg": still("JPEG"),
    "still webp": still("WEBP"),
    "still avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(64),
    "aac": b"\xff\xf1\x50\x80" + bytes(64),
}

SOUND = {
    "wav": wav(),
    "flac": sound_only("flac", "flac"),
    "ogg": sound_only("ogg", "libopus"),
    "mp3": sound_only("mp3", "libmp3lame"),
    "mp3 without a tag": b"\xff\xfb\x90\x64" + bytes(413),
    "mp4 of sound": sound_only("mp4", "aac"),
    "webm of sound": sound_only("webm", "libopus"),
}

UNDECODABLE = {
    "empty": b"",
    "mp4 of a name alone": b"\0\0\0\x18ftypisom\0\0\0\0isommp42",
    "mp4 without an index": CLIPS["mp4"][: CLIPS["mp4"].index(b"moov") - 4],
    "mp4 with text inside": b"\0\0\0\x18ftypisom\0\0\0\0isommp42" + HLS,
    "webm with text inside": b"\x1a\x45\xdf\xa3\x80" + HLS,
    "webm of subtitles": b"\x1a\x45\xdf\xa3\x80" + b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
    "mp4 of frames larger than it says": huge_h264(64),
    "webm of frames larger than it says": huge_vp8(),
    "gif of no frame": b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"\x3b",
    "gif of no pixel": b"GIF89a" + bytes(7) + b"\x3b",
    "gif of rubbish": b"GIF89a" + struct.pack("<HHBBB", 8, 8, 0, 0, 0) + b"\x99" * 99,
    "apng that lacks a frame": CLIPS["apng"].replace(
        png_chunk(b"acTL", struct.pack(">II", 4, 0)), png_chunk(b"acTL", struct.pack(">II", 5, 0))
    ),
}


TOO_LARGE = {
    **{f"{kind} of huge frames": huge(kind) for kind in ("gif", "webp", "apng")},
    "mp4 of huge frames": huge_h264(30_000),
    "gif of a huge frame on a small canvas": huge_gif_frame(),
    "gif of many frames": many_frames_gif(100_000),
    "apng that announces many frames": CLIPS["apng"].replace(
        png_chunk(b"acTL", struct.pack(">II", 4, 0)), png_chunk(b"acTL", struct.pack(">II", 2**31, 0))
    ),
    "apng of many frames": black_apng(4, 513),
    "mp4 of many frames": film(np.zeros((513, 16, 16, 3), np.uint8)),
    "webm of many frames": film(np.zeros((513, 16, 16, 3), np.uint8), muxer="webm", codec="libvpx", pixels="yuv420p"),
    "too many bytes": bytes(MediaLimits().max_bytes + 1),
}

EXPECTED: list[tuple[str, bytes, type[MediaError]]] = [
    *((name, data, UnsupportedMediaError) for name, data in UNSUPPORTED.items()),
    *((name, data, MediaModalityError) for name, data in SOUND.items()),
    *((name, data, UndecodableMediaError) for name, data in UNDECODABLE.items()),
    *((name, data, MediaTooLargeError) for name, data in TOO_LARGE.items()),
]


@pytest.mark.parametrize(("data", "error"), [pytest.param(*case[1:], id=case[0]) for case in EXPECTED])
def test_each_is_refused_for_what_it_is(decode: Decode, data: bytes, error: type[MediaError]) -> None:
    assert_refused(lambda: decode(data), error)


@pytest.mark.parametrize("kind", CLIPS)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9, 0.99])
def test_cut_off_files_are_refused(decode: Decode, kind: str, share: float) -> None:
    with pytest.raises(UndecodableMediaError):
        decode(CLIPS[kind][: int(len(CLIPS[kind]) * share)])


@pytest.mark.parametrize("kind", CLIPS)
def test_what_is_cut_off_decodes_when_whole(decode: Decode, kind: str) -> None:
    assert len(decode(CLIPS[kind]).frames) >= 4


def test_a_recording_that_does_not_know_its_length_decodes(decode: Decode) -> None:
    """What browsers record is WebM that was written before its length was known."""
    live = film(moving(), muxer="webm", codec="libvpx-vp9", muxer_options={"live": "1"})
    assert b"\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff" in live
    assert len(decode(live).frames) == 8


def test_a_cover_is_no_clip(decode: Decode) -> None:
    """A picture attached to sound, as music files have it."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        sound = container.add_stream("flac", rate=48000)
        container.add_attachment("cover.png", "image/png", still("PNG"))
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 48000), np.int16), "s16", "mono")
        samples.sample_rate, samples.pts = 48000, 0
        container.mux(sound.encode(samples))
        container.mux(sound.encode(None))
    with pytest.raises(MediaModalityError):
        decode(file.getvalue())


@pytest.mark.parametrize("seed", range(240))
def test_damaged_files_give_a_clip_or_an_error(decode: Decode, seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = bytearray(CLIPS[list(CLIPS)[seed % len(CLIPS)]])
    for _ in range(int(rng.integers(1, 12))):
        position = int(rng.integers(0, len(data)))
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
        clip = decode(bytes(data))
    except MediaError:
        pass
    else:
        assert isinstance(clip, VideoClip)
        assert clip.frames.shape[1:] == (64, 64, 3)
        assert 1 <= len(clip.frames) <= 512


def test_limits_are_those_of_the_pool() -> None:
    with MediaPool(1, MediaLimits(max_bytes=20_000, max_frames=4, max_pixels=32 * 32)) as pool:

        def frames(data: bytes) -> int:
            return len(pool.decode_video(data, size=16, channels=1, fit="crop").frames)

        assert frames(animation(pixel_art(4, 32, 32), "PNG")) == 4
        for data in (
            animation(pixel_art(5, 8, 8), "PNG"),
            animation(pixel_art(2, 32, 33), "PNG"),
            film(moving(5, 16, 16)),
            film(moving(5, 16, 16), muxer="matroska"),
            film(moving(2, 32, 34)),
            film(moving(2, 32, 34), muxer="matroska"),
            bytes(20_001),
        ):
            with pytest.raises(MediaTooLargeError):
                frames(data)
