"""What the service answers, as values.

Shapes: T frames, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

Numbers = list[float]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Codes:
    """What a clip is, and what it does.

    Attributes:
        z_c: Content, Dc numbers.
        z_m: Motion, T times Dm numbers.
        action: Weights of the A actions, of models that have any.
    """

    z_c: Numbers
    z_m: list[Numbers]
    action: Numbers | None = None

    def mixed(self, other: Codes, *, content: float = 0.0, motion: float = 0.0) -> Codes:
        """Codes on the straight line from these to others, as long as the shorter.

        Args:
            other: Codes of the same model.
            content: How far z^c goes, from 0 (these) to 1 (the others).
            motion: How far z^m and the action go.
        """
        action = self.action
        if action is not None and other.action is not None:
            action = _between(action, other.action, motion)
        z_m = [_between(mine, theirs, motion) for mine, theirs in zip(self.z_m, other.z_m, strict=False)]
        return Codes(_between(self.z_c, other.z_c, content), z_m, action)


@dataclass(frozen=True, kw_only=True)
class Encoding(Codes):
    """Codes of a clip that was sent.

    Attributes:
        model: Which model's codes these are.
        modality: What the clip is.
        frames: T.
        fps: Frames a second of a video clip.
        psnr_db: How well the model can say a video clip back, in dB; more is better.
        hop_s: Seconds from one step of z_m to the next, of sound.
        lsd_db: How well the model can say a sound back: log-spectral distance in dB; less is better.
        seed: Seed of the draw, where the codes were drawn.
    """

    model: str
    modality: Literal["video", "audio"]
    frames: int
    fps: float | None = None
    psnr_db: float | None = None
    hop_s: float | None = None
    lsd_db: float | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Clip:
    """A video or a sound.

    Attributes:
        data: The file.
        media_type: What kind of file it is, such as `video/mp4`.
        model: Which model made it.
        seed: The seed that decides it, where anything was drawn.
        codes: Its codes, where the answer told them.
    """

    data: bytes
    media_type: str
    model: str
    seed: int | None = None
    codes: Codes | None = None

    def save(self, path: str | Path) -> None:
        """Writes the file."""
        Path(path).write_bytes(self.data)


@dataclass(frozen=True)
class Swaps:
    """Both directions of a swap.

    Attributes:
        there: What `content` shows, doing what happens in `motion`.
        back: The other way round.
    """

    there: Clip
    back: Clip


@dataclass(frozen=True)
class Items:
    """Clips that were made together, each with its codes.

    Attributes:
        model: Which model made them.
        seed: The seed that decides them.
        clips: The clips.
    """

    model: str
    seed: int | None
    clips: list[Clip]


@dataclass(frozen=True)
class VideoShape:
    """Clips that a video model was trained on; any length can be encoded and generated."""

    frames: int
    height: int
    width: int
    channels: int
    fps: float


@dataclass(frozen=True)
class AudioShape:
    """Spectra that an audio model was trained on; any length can be encoded and generated."""

    frames: int
    bins: int
    sample_rate: int
    hop_s: float


@dataclass(frozen=True)
class Model:
    """A model that is served.

    Attributes:
        id: Its name.
        modality: What it reads and makes.
        default: Whether it serves requests of its modality that name no model.
        content_dim: Dc.
        motion_dim: Dm.
        actions: A; 0 where it tells no actions apart.
        clip: What its clips look like.
        card: The model in one line.
        metrics: Measured figures.
    """

    id: str
    modality: Literal["video", "audio"]
    default: bool
    content_dim: int
    motion_dim: int
    actions: int
    clip: VideoShape | AudioShape
    card: str
    metrics: dict[str, float]


def read(kind: type[Value], told: Mapping[str, Any]) -> Value:
    """A value from JSON; fields that later services may add are left out."""
    names = {field.name for field in fields(kind)}  # type: ignore[arg-type]  # all kinds are dataclasses
    return kind(**{name: value for name, value in told.items() if name in names})


def model(told: Mapping[str, Any]) -> Model:
    """One of the list that `/models` answers."""
    shape = read(VideoShape if told["modality"] == "video" else AudioShape, told["clip"])
    return read(Model, {**told, "clip": shape})


def embedded(told: Mapping[str, Any], *, model: str, seed: int | None = None) -> Clip:
    """A clip inside JSON, with its codes where they are there."""
    codes = read(Codes, told) if "z_c" in told else None
    return Clip(base64.b64decode(told["data"]), told["media_type"], model, seed, codes)


def _between(start: Numbers, end: Numbers, share: float) -> Numbers:
    return [(1 - share) * a + share * b for a, b in zip(start, end, strict=True)]
