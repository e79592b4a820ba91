"""Clips to bytes: video by FFmpeg and Pillow, audio by libsndfile.

Shapes: N clips of T frames of H×W pixels in C channels (1: luma, 3: RGB), uint8; S samples of sound.
"""

from __future__ import annotations

import io
import itertools
import math
import struct
import zlib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Literal

import av
import numpy as np
import soundfile
from av.video.frame import VideoFrame
from numpy.typing import NDArray
from PIL import Image

from rwae_core.media.clip import MAX_FPS, MAX_SAMPLE_RATE, MIN_FPS, MIN_SAMPLE_RATE
from rwae_core.media.film_writer import H264, FilmWriter, Frames, enlarge
from rwae_core.media.sniff import PNG_SIGNATURE, png_chunks

VideoFormat = Literal["mp4", "webm", "gif", "webp", "apng", "png"]
MEDIA_TYPES: dict[VideoFormat, str] = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "gif": "image/gif",
    "webp": "image/webp",
    "apng": "image/apng",
    "png": "image/png",
}
AudioFormat = Literal["wav", "flac", "ogg"]
AUDIO_MEDIA_TYPES: dict[AudioFormat, str] = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg"}
MAX_SIDE = 16_383
"""Pixels of a side that every format can hold."""


def encode_video(frames: Frames, fps: float, format: VideoFormat, scale: int = 1) -> bytes:  # noqa: A002
    """Encodes a clip.

    `mp4` (H.264, index ahead of the pictures) and `webm` (VP9) lose a little and halve the resolution of colours; a
    side of odd length gets its last row or column twice. `gif` has one palette of 256 colours for the whole clip,
    exact where that is enough. `webp`, `apng` and `png` (frames side by side) are lossless. Animations loop for ever.

    Args:
        frames: (T, H, W, C).
        fps: frames per second, from MIN_FPS to MAX_FPS. `gif` shows each frame for whole hundredths of a second, on
            average as long as asked for, yet two at least: browsers slow anything faster down to 10 frames per second.
        format: of the file.
        scale: enlarges by whole pixels.

    Raises:
        ValueError: not frames, or a rate, scale or size out of bounds.
    """
    if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[-1] not in {1, 3} or not frames.size:
        raise ValueError("Frames are uint8 of (T, H, W, C), none of them 0, C 1 or 3.")
    if not MIN_FPS <= fps <= MAX_FPS:
        raise ValueError(f"The frame rate is from {MIN_FPS} to {MAX_FPS} frames per second.")
    if scale < 1 or max(frames.shape[1:3]) * scale > MAX_SIDE:
        raise ValueError(f"The scale is at least 1, and an enlarged side at most {MAX_SIDE} pixels.")
    if frames.shape[-1] == 1:
        frames = frames.repeat(3, axis=-1)
    return _ENCODERS[format](frames, Fraction(fps).limit_denominator(1001), scale)


def encode_audio(samples: NDArray[np.floating], sample_rate: int, format: AudioFormat = "wav") -> bytes:  # noqa: A002
    """Encodes sound in one channel; whoever decodes it gets as many samples.

    `wav` and `flac` hold 16 bits of each sample, to the nearest of 2⁻¹⁵. `ogg` (Vorbis) loses what is hard to hear.

    Args:
        samples: (S,). What lies beyond -1 and 1 is clipped.
        sample_rate: samples per second, from MIN_SAMPLE_RATE to MAX_SAMPLE_RATE.
        format: of the file.

    Raises:
        ValueError: not finite samples, or a rate out of bounds.
    """
    if samples.ndim != 1 or not samples.size or not np.isfinite(samples).all():
        raise ValueError("Samples are finite numbers of (S,), not none of them.")
    if not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
        raise ValueError(f"The sample rate is from {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} samples per second.")
    whole = np.clip(np.rint(samples * 2.0**15), -(2**15), 2**15 - 1).astype(np.int16)
    subtype = "VORBIS" if format == "ogg" else "PCM_16"
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", sample_rate, channels=1, subtype=subtype, format=format) as sound:
        for start in range(0, len(whole), sample_rate):  # libsndfile takes a long block of Vorbis onto the stack
            sound.write(whole[start : start + sample_rate])
    return file.getvalue()


def grid(clips: NDArray[np.uint8]) -> Frames:
    """Tiles clips of (N, T, H, W, C) into one of (T, H', W', C), row by row, nearly square, spare tiles black."""
    count, length, height, width, channels = clips.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    tiles = np.zeros((rows * columns, length, height, width, channels), np.uint8)
    tiles[:count] = clips
    tiles = tiles.reshape(rows, columns, length, height, width, channels)
    return tiles.transpose(2, 0, 3, 1, 4, 5).reshape(length, rows * height, columns * width, channels)


def _mp4(frames: Frames, fps: Fraction, scale: int) -> bytes:
    # The index goes into room left ahead of the pictures, so that playing starts before the file has come. A frame
    # takes 16 bytes there at the most (size, offset, key frame), all else well below 2048.
    return _film(
        frames,
        fps,
        scale,
        muxer="mp4",
        muxer_options={"moov_size": str(2048 + 16 * len(frames))},
        codec="libx264",
        codec_options=H264,
    )


def _webm(frames: Frames, fps: Fraction, scale: int) -> bytes:
    return _film(
        frames,
        fps,
        scale,
        muxer="webm",
        muxer_options={},
        codec="libvpx-vp9",
        codec_options={"deadline": "realtime", "cpu-used": "6", "crf": "12", "b": "0", "lag-in-frames": "0"},
    )


def _film(
    frames: Frames,
    fps: Fraction,
    scale: int,
    *,
    muxer: str,
    codec: Literal["libx264", "libvpx-vp9"],
    codec_options: Mapping[str, str],
    muxer_options: Mapping[str, str],
) -> bytes:
    file = io.BytesIO()
    writer = FilmWriter(
        file, fps, scale, muxer=muxer, muxer_options=muxer_options, codec=codec, codec_options=codec_options
    )
    writer.add(frames)
    writer.end()
    return file.getvalue()


def _gif(frames: Frames, fps: Fraction, scale: int) -> bytes:
    length, height, width, _ = frames.shape
    # One palette for all frames: none flickers. No dithering either: it would.
    reduced = Image.fromarray(frames.reshape(length * height, width, 3)).quantize(256, dither=Image.Dither.NONE)
    colours = np.frombuffer(bytes(reduced.getpalette() or []), np.uint8).reshape(-1, 3)
    palette = np.zeros((256, 4), np.uint8)  # ARGB; transparent where unused, which the encoder uses to say "as before"
    palette[: len(colours), 0], palette[: len(colours), 1:] = 255, colours
    indices = np.asarray(reduced).reshape(length, height, width)
    ticks = _durations(length, fps, 100, 2)
    file = io.BytesIO()
    with av.open(file, "w", format="gif", options={"final_delay": str(ticks[-1])}) as container:
        stream = container.add_stream("gif", rate=fps)
        stream.height, stream.width, stream.pix_fmt = height * scale, width * scale, "pal8"
        stream.codec_context.time_base = Fraction(1, 100)
        for frame, start in zip(indices, itertools.accumulate(ticks, initial=0), strict=False):
            picture = VideoFrame.from_ndarray((enlarge(frame, scale), palette), "pal8")  # type: ignore[arg-type]
            picture.pts, picture.time_base = start, Fraction(1, 100)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return file.getvalue()


def _webp(frames: Frames, fps: Fraction, scale: int) -> bytes:
    # Put together here: libwebp's own animations drop a frame that equals the one before.
    def chunk(kind: bytes, content: bytes) -> bytes:
        return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)

    def uint24(*values: int) -> bytes:
        return b"".join(value.to_bytes(3, "little") for value in values)

    height, width = frames.shape[1] * scale, frames.shape[2] * scale
    body = b"WEBP" + chunk(b"VP8X", b"\x02\0\0\0" + uint24(width - 1, height - 1)) + chunk(b"ANIM", bytes(6))
    for pixels, ticks in zip(frames, _durations(len(frames), fps, 1000, 1), strict=True):
        still = io.BytesIO()
        Image.fromarray(enlarge(pixels, scale)).save(still, "WEBP", lossless=True, quality=20, method=0)
        head = uint24(0, 0, width - 1, height - 1, ticks) + b"\x02"  # laid over, not blended
        body += chunk(b"ANMF", head + still.getvalue()[12:])
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _apng(frames: Frames, fps: Fraction, scale: int) -> bytes:
    # Put together here: Pillow's own animations drop a frame that equals the one before.
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width = frames.shape[1] * scale, frames.shape[2] * scale
    delay = (1 / fps).limit_denominator(6553)  # either part fits into 16 bits
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits of each of RGB
    chunks = [chunk(b"IHDR", header), chunk(b"acTL", struct.pack(">II", len(frames), 0))]
    sequence = itertools.count()
    for index, pixels in enumerate(frames):
        control = (next(sequence), width, height, 0, 0, delay.numerator, delay.denominator, 0, 0)
        chunks.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", *control)))
        still = _png_still(enlarge(pixels, scale))
        content = b"".join(still[start:end] for kind, start, end in png_chunks(still) if kind == b"IDAT")
        if index == 0:
            chunks.append(chunk(b"IDAT", content))
        else:
            chunks.append(chunk(b"fdAT", struct.pack(">I", next(sequence)) + content))
    return PNG_SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")


def _png(frames: Frames, fps: Fraction, scale: int) -> bytes:
    return _png_still(enlarge(np.concatenate(list(frames), axis=1), scale))


def _png_still(pixels: NDArray[np.uint8]) -> bytes:
    still = io.BytesIO()
    Image.fromarray(pixels).save(still, "PNG")
    return still.getvalue()


def _durations(count: int, fps: Fraction, ticks_per_second: int, least: int) -> list[int]:
    """Whole ticks that each frame is shown, such that rounding does not add up."""
    ends = [round(index * ticks_per_second / fps) for index in range(count + 1)]
    return [max(end - start, least) for start, end in itertools.pairwise(ends)]


_ENCODERS: dict[VideoFormat, Callable[[Frames, Fraction, int], bytes]] = {
    "mp4": _mp4,
    "webm": _webm,
    "gif": _gif,
    "webp": _webp,
    "apng": _apng,
    "png": _png,
}
