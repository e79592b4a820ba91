"""A preset: everything that a training run is made of, read from one TOML file in `presets/`."""

from __future__ import annotations

import tomllib
from math import cos, pi
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rwae_core.config import ModelConfig

FOLDER = Path(__file__).parent / "presets"

Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Objective(_Section):
    """Weights of the terms of `training.objectives`, under their names; a term of weight 0 is not computed.

    `ramp` is the share of the run over which every weight but the reconstruction's rises from 0.
    """

    content_mmd: Weight = 0
    motion_mmd: Weight = 0
    content_kl: Weight = 0
    motion_kl: Weight = 0
    dependence: Weight = 0
    ramp: Annotated[float, Field(ge=0, le=1)] = 0


class Views(_Section):
    """What each posterior may see of a clip in training (`training.views`); all off is the paper's."""

    content_frames: Annotated[int, Field(ge=0)] = 0
    motion_colours: bool = False
    decoded_frames: Annotated[int, Field(ge=0)] = 0


class Schedule(_Section):
    """Iterations and learning rates.

    With `inner_steps` = L > 0 an iteration is that of Algorithm 2: L updates of critic and encoders, each on a batch
    of its own, then one of decoder and prior. With 0, one update of everything.
    """

    iterations: Count
    batch: Count
    inner_steps: Annotated[int, Field(ge=0)] = 0
    decoder_rate: Rate
    encoder_rate: Rate
    critic_rate: Rate
    decay: Literal["steps", "cosine"]
    decay_at: tuple[int, int] = (0, 0)
    betas: tuple[float, float] = (0.5, 0.9)
    average: Annotated[float, Field(ge=0, lt=1)] = 0

    @model_validator(mode="after")
    def _steps_say_where(self) -> Self:
        if self.decay == "steps" and not 0 < self.decay_at[0] < self.decay_at[1]:
            raise ValueError("decay = 'steps' needs decay_at, the two iterations after which rates fall")
        return self

    def rate_factor(self, iteration: int) -> float:
        """What the learning rates are multiplied with: ÷2 and then ÷5 more, or a cosine after a short warm-up."""
        if self.decay == "steps":
            return 1.0 if iteration < self.decay_at[0] else 0.5 if iteration < self.decay_at[1] else 0.1
        warm_up = max(1, self.iterations // 20)
        if iteration < warm_up:
            return (iteration + 1) / warm_up
        return 0.5 * (1 + cos(pi * (iteration - warm_up) / max(1, self.iterations - warm_up)))


class Preset(_Section):
    """One way to train one model."""

    name: str
    dataset: Literal["sprites"]
    about: str
    model: ModelConfig
    objective: Objective
    views: Views = Views()
    schedule: Schedule
    bfloat16: bool = False


def names() -> list[str]:
    """The presets that exist."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Preset:
    """Reads a preset by name, or a file of one's own by path.

    Raises:
        FileNotFoundError: there is none; the message lists the names.
        ValueError: the file is not a preset; the message names the field.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise FileNotFoundError(f"no preset '{name}'; there are {', '.join(names())}, or give the path of a .toml file")
    return Preset.model_validate({"name": path.stem, **tomllib.loads(path.read_text())})
