"""Files for the tests of media, made by libraries rather than by the encoder under test."""

from __future__ import annotations

import io
import math
import struct
import time
import wave
import zlib
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray
from PIL import Image

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.errors import MediaError

Frames = NDArray[np.uint8]
Sound = NDArray[np.floating]
Decode = Callable[..., VideoClip]
DecodeSound = Callable[..., AudioClip]


def moving(length: int = 8, height: int = 64, width: int = 64, seed: int = 0) -> Frames:
    """Frames of smooth colours, each unlike the others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (length, 4, 4, 3), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(frame).resize((width, height), 3)) for frame in coarse])


def pixel_art(length: int = 8, height: int = 64, width: int = 64, colours: int = 200) -> Frames:
    """Frames of single pixels in at most so many colours."""
    rng = np.random.default_rng(1)
    palette = rng.integers(0, 256, (colours, 3), dtype=np.uint8)
    return palette[rng.integers(0, colours, (length, height, width))]


def quadrants(length: int = 4, height: int = 64, width: int = 96) -> Frames:
    """Red, green, blue and grey, clockwise from the upper left: where up and left are can be seen."""
    frames = np.full((length, height, width, 3), 128, np.uint8)
    frames[:, : height // 2, : width // 2] = (255, 0, 0)
    frames[:, : height // 2, width // 2 :] = (0, 255, 0)
    frames[:, height // 2 :, width // 2 :] = (0, 0, 255)
    return frames


def film(
    frames: Frames,
    fps: float = 10,
    *,
    muxer: str = "mp4",
    codec: str = "libx264",
    pixels: str = "yuv444p",
    starts: Sequence[int] | None = None,
    rotation: tuple[float, bool, bool] | None = None,
    sound: str | None = None,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> bytes:
    """A film by FFmpeg; `starts` are milliseconds, `rotation` is degrees counterclockwise and two mirrorings."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer, options=muxer_options or {}) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream: Any = container.add_stream(codec, rate=rate, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pixels
        tick = Fraction(1, 1000) if starts else 1 / rate
        stream.codec_context.time_base = tick
        if rotation:
            stream.set_display_rotation(rotation[0], hflip=rotation[1], vflip=rotation[2])
        hum: Any = container.add_stream(sound, rate=48000, layout="mono") if sound else None
        for index, pixel in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(pixel, "rgba" if pixel.shape[-1] == 4 else "rgb24")
            picture.pts, picture.time_base = starts[index] if starts else index, tick
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
        if hum:
            _hum(container, hum)
    return file.getvalue()


def sound_only(muxer: str, codec: str, rate: int = 48000) -> bytes:
    """Half a second of a tone."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        _hum(container, container.add_stream(codec, rate=rate, layout="mono"))
    return file.getvalue()


def wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    return file.getvalue()


def _hum(container: Any, stream: Any) -> None:
    rate = stream.codec_context.sample_rate
    tone = (np.sin(np.arange(rate // 2) * math.tau * 440 / rate) * 9000).astype(np.int16)
    samples = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
    samples.sample_rate, samples.pts = rate, 0
    container.mux(stream.encode(samples))
    container.mux(stream.encode(None))


def tone(rate: int, count: int, channels: int = 1, frequency: float = 440) -> Sound:
    """(count, channels): a sine that is 0.4 high on the mean of the channels, each of another height."""
    heights = 0.4 + 0.2 * (np.arange(channels) - (channels - 1) / 2) / channels
    return np.sin(np.arange(count) * math.tau * frequency / rate)[:, None] * heights


def by_libsndfile(samples: Sound, rate: int, form: str, subtype: str | None = None) -> bytes:
    """A file of samples (N, channels) or (N,), written a second at a time, as libsndfile needs it for long Vorbis."""
    file = io.BytesIO()
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(file, "w", rate, channels, subtype, format=form) as sound:
        for start in range(0, max(len(samples), 1), rate):
            sound.write(samples[start : start + rate])
    return file.getvalue()


def by_ffmpeg(
    samples: Sound,
    rate: int,
    muxer: str,
    codec: str,
    *,
    options: dict[str, str] | None = None,
    muxer_options: dict[str, str] | None = None,
) -> bytes:
    """A file of samples (N, channels)."""
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[1]]
    file = io.BytesIO()
    with av.open(file, "w", format=muxer, options=muxer_options or {}) as container:
        stream: Any = container.add_stream(codec, rate=rate, layout=layout, options=options or {})  # type: ignore[call-overload]
        sound = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T, np.float32), "fltp", layout)
        sound.sample_rate, sound.pts = rate, 0
        container.mux(stream.encode(sound))
        container.mux(stream.encode(None))
    return file.getvalue()


def animation(frames: Sequence[NDArray[np.uint8]] | Frames, kind: str, duration: Any = 100, **options: Any) -> bytes:
    """A GIF, WebP or PNG by Pillow; `duration` is milliseconds, of all frames or of each."""
    images = [Image.fromarray(frame) for frame in frames]
    if kind == "WEBP":
        options = {"lossless": True, "exact": True} | options
    file = io.BytesIO()
    images[0].save(file, kind, save_all=True, append_images=images[1:], duration=duration, loop=0, **options)
    return file.getvalue()


def exact_gif(frames: Frames, delays: Sequence[int]) -> bytes:
    """A GIF of at most 256 colours in all, by FFmpeg; `delays` are hundredths of a second, as written into the file."""
    colours, indices = np.unique(frames.reshape(-1, 3), axis=0, return_inverse=True)
    palette = np.zeros((256, 4), np.uint8)
    palette[: len(colours)] = np.insert(colours, 0, 255, axis=1)
    file = io.BytesIO()
    with av.open(file, "w", format="gif", options={"final_delay": str(delays[-1])}) as container:
        stream: Any = container.add_stream("gif", rate=10)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        for index, frame in enumerate(indices.reshape(frames.shape[:3]).astype(np.uint8)):
            picture = av.VideoFrame.from_ndarray((frame, palette), "pal8")  # type: ignore[arg-type]
            picture.pts = index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    data = bytearray(file.getvalue())
    controls = [match for match in range(len(data) - 8) if data[match : match + 3] == b"\x21\xf9\x04"]
    assert len(controls) == len(delays)
    for position, delay in zip(controls, delays, strict=True):
        struct.pack_into("<H", data, position + 4, delay)
    return bytes(data)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def black_apng(side: int, length: int) -> bytes:
    """Cheap to make and to send, dear to decode: `length` black frames of side×side pixels."""
    black = zlib.compress(bytes((side * 3 + 1) * side))
    chunks = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))]
    chunks.append(png_chunk(b"acTL", struct.pack(">II", length, 0)))
    for index in range(length):
        sequence = max(2 * index - 1, 0)
        chunks.append(png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", sequence, side, side, 0, 0, 1, 10, 0, 0)))
        chunks.append(
            png_chunk(b"fdAT", struct.pack(">I", sequence + 1) + black) if index else png_chunk(b"IDAT", black)
        )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + png_chunk(b"IEND", b"")


def many_frames_gif(length: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + bytes(3) + b"\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00"
    return head + frame * length + b"\x3b"


def worker_pids() -> list[int]:
    """Decoding processes that this process has started."""
    return [child.pid for child in psutil.Process().children() if is_worker(child.pid)]


def is_worker(pid: int) -> bool:
    """Whether a process decodes, and lives."""
    try:
        return b"rwae_core.media.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def psnr(first: Frames, second: Frames) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def assert_refused(decode: Callable[[], object], error: type[MediaError]) -> None:
    """The very error, soon, in a sentence that says what to change and nothing of this machine or of FFmpeg."""
    start = time.monotonic()
    with pytest.raises(error) as caught:
        decode()
    assert type(caught.value) is error
    assert time.monotonic() - start < 2
    message = str(caught.value)
    assert message.endswith(".")
    assert ": " in message  # what to change
    assert "/" not in message
    assert "av_" not in message
