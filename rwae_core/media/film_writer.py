"""Films as they are written: frames in, packets out into a file that FFmpeg lays out.

Shapes: T frames of H×W pixels in C channels (1: luma, 3: RGB), uint8.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal, Protocol

import av
import numpy as np
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

Frames = NDArray[np.uint8]
H264: Mapping[str, str] = {"preset": "veryfast", "crf": "12", "tune": "zerolatency"}


class Sink(Protocol):
    """Takes bytes; where it can seek, the muxer may go back."""

    def write(self, data: bytes, /) -> int: ...


class FilmWriter:
    """Writes pictures with half as many colours as pixels in each direction; an odd side gets its last line twice.

    Args:
        file: Where the film goes.
        fps: Frames per second.
        scale: Enlarges by whole pixels.
        muxer: Layout of the file.
        muxer_options: FFmpeg's.
        codec: Of the pictures.
        codec_options: FFmpeg's.
    """

    def __init__(
        self,
        file: Sink,
        fps: Fraction,
        scale: int,
        *,
        muxer: str,
        muxer_options: Mapping[str, str],
        codec: Literal["libx264", "libvpx-vp9"],
        codec_options: Mapping[str, str],
    ) -> None:
        self._fps, self._scale = fps, scale
        self._codec, self._codec_options = codec, dict(codec_options)
        self._container = av.open(file, "w", format=muxer, options=dict(muxer_options))
        self._stream: VideoStream | None = None
        self._scaler = VideoReformatter()  # one for all: each new one prepares its tables again
        self._count = 0

    @property
    def codec_head(self) -> bytes:
        """What the codec says of itself ahead of all pictures; empty before the first frame."""
        return b"" if self._stream is None else bytes(self._stream.codec_context.extradata or b"")

    def add(self, frames: Frames, *, key: bool = False) -> None:
        """Writes frames (T, H, W, C), all of one film of one size.

        Args:
            frames: The next ones.
            key: Whether the first of them is to stand by itself, so that players can begin there.
        """
        stream = self._stream = self._stream or self._start(*frames.shape[1:3])
        odd = ((0, frames.shape[1] * self._scale % 2), (0, frames.shape[2] * self._scale % 2), (0, 0))
        for index, pixels in enumerate(frames):
            enlarged = enlarge(pixels if pixels.shape[-1] == 3 else pixels.repeat(3, axis=-1), self._scale)
            if odd[0][1] or odd[1][1]:  # np.pad takes long even for nothing
                enlarged = np.pad(enlarged, odd, "edge")
            picture = self._scaler.reformat(
                VideoFrame.from_ndarray(enlarged, "rgb24"),
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,
                threads=1,
            )
            picture.pts, picture.duration, picture.time_base = self._count, 1, 1 / self._fps
            if key and index == 0:
                picture.pict_type = PictureType.I
            self._container.mux(stream.encode(picture))
            self._count += 1

    def end(self) -> None:
        """Writes what is left, and the film's end; closes nothing but the film."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def _start(self, height: int, width: int) -> VideoStream:
        stream = self._container.add_stream(self._codec, rate=self._fps, options=self._codec_options)
        height, width = height * self._scale, width * self._scale
        stream.height, stream.width, stream.pix_fmt = height + height % 2, width + width % 2, "yuv420p"
        context = stream.codec_context
        context.thread_count = 1  # so small a clip is encoded before threads have started
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        return stream


def enlarge(pixels: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    """Every pixel (H, W, C) as scale × scale pixels."""
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1) if scale > 1 else pixels
