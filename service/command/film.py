"""Clips of one model side by side in one film.

Shapes: R rows and K columns of clips, T frames of H×W pixels in RGB.
"""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from rwae_client import Clip
from rwae_client.calls import Format
from rwae_core.media.encode import MEDIA_TYPES, encode_video

Frames = NDArray[np.uint8]


def side_by_side(rows: list[list[Clip]], fps: float, format: Format | None, scale: int) -> bytes:  # noqa: A002
    """A film of rows of lossless clips (APNG), as long as the longest; shorter ones start again.

    Raises:
        ValueError: the film is too large for any format.
    """
    shown = [[_frames(clip) for clip in row] for row in rows]
    length = max(len(frames) for row in shown for frames in row)
    whole = [[frames[np.arange(length) % len(frames)] for frames in row] for row in shown]
    film = np.concatenate([np.concatenate(row, axis=2) for row in whole], axis=1)
    return encode_video(film, fps, next((name for name in MEDIA_TYPES if name == format), "mp4"), scale)


def _frames(clip: Clip) -> Frames:
    with Image.open(io.BytesIO(clip.data), formats=["PNG"]) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
