"""Frames of GIF, animated WebP and APNG files, decoded and put together by Pillow."""

from __future__ import annotations

import io
from collections.abc import Iterator

from PIL import Image, WebPImagePlugin

from rwae_core.media.clip import TimedFrame
from rwae_core.media.fit import on_black
from rwae_core.media.limits import MediaLimits
from rwae_core.media.outline import animation_delays
from rwae_core.media.sniff import AnimationKind

READERS = {"gif": "GIF", "webp": WebPImagePlugin.WebPImageFile.format, "apng": "PNG"}


def animation_frames(data: bytes, kind: AnimationKind, limits: MediaLimits) -> Iterator[TimedFrame]:
    """Yields the frames, each put together with those before it.

    Raises:
        UndecodableMediaError: the file is cut off or contradicts itself.
        MediaTooLargeError: too many pixels or frames.
        Exception: whatever Pillow raises on a damaged file.
    """
    delays = animation_delays(data, kind, limits)
    start = 0.0
    with Image.open(io.BytesIO(data), formats=[READERS[kind]]) as image:
        first = int(image.info.get("default_image", False))  # an APNG's picture for programs that show no animation
        for index, delay in enumerate(delays, first):
            image.seek(index)
            yield TimedFrame(on_black(image), start, delay)
            start += delay
