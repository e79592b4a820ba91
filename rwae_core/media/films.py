"""Frames of MP4, MOV, WebM and Matroska files, decoded by FFmpeg: by the decoders named here, which start no thread."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import cast

import numpy as np
from av.container import InputContainer
from av.sidedata.sidedata import SideDataContainer
from av.stream import Disposition
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from rwae_core.media.clip import TimedFrame
from rwae_core.media.containers import open_container
from rwae_core.media.errors import MediaModalityError, UndecodableMediaError
from rwae_core.media.fit import on_black
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import ContainerKind
from rwae_core.media.timing import DEFAULT_FPS

DECODERS = ("h264", "hevc", "libdav1d", "vp8", "vp9", "libvpx", "libvpx-vp9", "mpeg4", "mjpeg", "prores", "png")
UNSPECIFIED_COLOURS, BT709_FROM_HEIGHT = 2, 720
"""Players take unmarked colours for BT.709 from this height on, for BT.601 below."""


def film_frames(data: bytes, kind: ContainerKind, limits: MediaLimits) -> Iterator[TimedFrame]:
    """Yields the frames of the first stream of pictures.

    Raises:
        UndecodableMediaError: the file is cut off, its pictures are encoded in an unlisted way, or it has no stream.
        MediaTooLargeError: frames of too many pixels, or more frames announced than allowed.
        MediaModalityError: sound alone.
        av.FFmpegError: the file is damaged.
    """
    with open_container(data, kind) as container:
        stream = pictures(container)
        if stream is None and container.streams.audio:
            raise MediaModalityError("The file holds sound and no pictures: send a video clip.")
        if stream is None:
            raise UndecodableMediaError("The file holds no pictures: export the clip again, best as H.264 in MP4.")
        decoder = _decoder(stream, limits)
        limits.check_pixels(stream.codec_context.width, stream.codec_context.height)
        limits.check_frames(stream.frames)
        count = 0
        converter = VideoReformatter()  # one for all: each new one prepares its tables again
        for packet in container.demux(stream):
            for frame in decoder.decode(packet):
                limits.check_pixels(frame.width, frame.height)  # they may change within a stream
                yield _timed(_upright(frame, converter), frame, stream, count)
                count += 1


def pictures(container: InputContainer) -> VideoStream | None:
    """The first stream of pictures; a cover is no clip."""
    return next((s for s in container.streams.video if not s.disposition & Disposition.attached_pic), None)


def _decoder(stream: VideoStream, limits: MediaLimits) -> VideoCodecContext:
    decoder: VideoCodecContext | None = stream.codec_context
    name = "" if decoder is None else decoder.codec.name
    if decoder is None or name not in DECODERS:
        raise UndecodableMediaError("The pictures are encoded in an unsupported way: export the clip as H.264 in MP4.")
    if stream.metadata.get("alpha_mode") == "1" and name in {"vp8", "vp9"}:  # FFmpeg's own see only the colours
        decoder = VideoCodecContext.create("libvpx" if name == "vp8" else "libvpx-vp9", "r")
    decoder.thread_count = 1
    decoder.options = {"max_pixels": str(2 * limits.max_pixels)}  # before it allocates; it counts in whole blocks
    return decoder


def _timed(picture: Image.Image, frame: VideoFrame, stream: VideoStream, index: int) -> TimedFrame:
    rate, tick = stream.average_rate or Fraction(DEFAULT_FPS), frame.time_base
    if frame.pts is None or tick is None:
        return TimedFrame(picture, float(index / rate), float(1 / rate))
    return TimedFrame(
        picture, _unrounded(frame.pts * tick, rate, tick), _unrounded((frame.duration or 0) * tick, rate, tick)
    )


def _unrounded(seconds: Fraction, rate: Fraction, tick: Fraction) -> float:
    """Undoes the rounding of times to ticks (milliseconds in WebM) where the stream's rate explains it."""
    explained = round(seconds * rate) / rate
    return float(explained if abs(explained - seconds) <= tick else seconds)


def _upright(frame: VideoFrame, converter: VideoReformatter) -> Image.Image:
    transparent = any(component.is_alpha for component in frame.format.components)
    unmarked_hd = frame.colorspace == UNSPECIFIED_COLOURS and frame.height >= BT709_FROM_HEIGHT
    converted = converter.reformat(
        frame,
        format="rgba" if transparent else "rgb24",
        src_colorspace=Colorspace.ITU709 if unmarked_hd else None,
        threads=1,
    )
    pixels = converted.to_ndarray().astype(np.uint8, copy=False)
    side_data = cast("SideDataContainer", frame.side_data)  # PyAV's annotation names another class
    if "DISPLAYMATRIX" in side_data:
        pixels = _displayed(pixels, bytes(side_data["DISPLAYMATRIX"]))
    return on_black(Image.fromarray(np.ascontiguousarray(pixels)))


def _displayed(pixels: NDArray[np.uint8], matrix: bytes) -> NDArray[np.uint8]:
    """Turns and mirrors a frame by its display matrix, x' = ax + cy, y' = bx + dy, to the nearest quarter turn."""
    a, b, _, c, d = struct.unpack_from("=5i", matrix)
    if abs(a) + abs(d) < abs(b) + abs(c):
        pixels, to_right, to_bottom = pixels.swapaxes(0, 1), c, b
    else:
        to_right, to_bottom = a, d
    return pixels[:: -1 if to_bottom < 0 else 1, :: -1 if to_right < 0 else 1]
