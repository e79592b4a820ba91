"""What is wanted of a file: as what it is read, and the shape that its clip gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rwae_core.media.fit import Fit
from rwae_core.media.sniff import Modality


@dataclass(frozen=True)
class Pictures:
    """The shape of a clip of video.

    Attributes:
        size: pixels of a side.
        channels: 3 for RGB, 1 for luma.
        fit: what happens to frames that are not square.
    """

    size: int
    channels: int
    fit: Fit


@dataclass(frozen=True)
class Sound:
    """The shape of a clip of sound.

    Attributes:
        sample_rate: samples per second.
    """

    sample_rate: int


@dataclass(frozen=True)
class Wanted:
    """What is wanted of one file.

    Attributes:
        video: the clip's shape if it is video; None where no video is wanted.
        audio: the same for sound.
        read_as: what is taken of a file that may have both; None leaves it to the file, which is video if it has
            pictures.
    """

    video: Pictures | None = None
    audio: Sound | None = None
    read_as: Modality | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Self:
        """What `dataclasses.asdict` took apart."""
        video, audio = told["video"], told["audio"]
        return cls(video and Pictures(**video), audio and Sound(**audio), told["read_as"])
