"""Clips, and the frames that they are made from.

Shapes: T frames of H×W pixels in C channels (1: luma, 3: RGB); N samples of sound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rwae_core.media.sniff import Modality

MIN_FPS, MAX_FPS = 0.1, 240.0
"""Frames per second that every output format can say."""
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 4_000, 192_000
"""Samples per second that are read and written."""
MAX_CHANNELS = 8
"""Channels of sound that are read."""


@dataclass(frozen=True)
class VideoClip:
    """Frames at an even rate: what decoding returns.

    Attributes:
        frames: (T, H, W, C), uint8.
        fps: frames per second, from MIN_FPS to MAX_FPS.
    """

    modality: ClassVar[Modality] = "video"
    frames: NDArray[np.uint8]
    fps: float


@dataclass(frozen=True)
class AudioClip:
    """Sound in one channel: what decoding returns.

    Attributes:
        samples: (N,), float32, from -1 to 1.
        sample_rate: samples per second.
    """

    modality: ClassVar[Modality] = "audio"
    samples: NDArray[np.float32]
    sample_rate: int


@dataclass(frozen=True)
class TimedFrame:
    """A frame as a file holds it, upright and opaque, and when it is shown.

    Attributes:
        image: RGB, of the file's size.
        start: seconds.
        duration: seconds, 0 where the file does not say.
    """

    image: Image.Image
    start: float
    duration: float
