"""What an evaluation finds of one model, before anything decides how to show it."""

from __future__ import annotations

import base64
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    """A figure: its mean and its standard deviation over repeats, or none where nothing was drawn."""

    mean: float
    std: float | None = None


@dataclass(frozen=True)
class Section:
    """One protocol's figures of one model.

    Attributes:
        name: Key of the protocol, the same for all models that went through it, such as "swap".
        title: What is kept, what is drawn, in which units: a line above the table.
        values: The figures by column.
        table: Number of the paper's table that it reproduces, where it does.
        note: What has to be known beside the figures: sizes, a feature network's name.
    """

    name: str
    title: str
    values: dict[str, Value]
    table: int | None = None
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture, plot, film or sound.

    Attributes:
        name: Its file's name without extension, unlike that of any other picture of the evaluation.
        caption: What is to be seen.
        media_type: "image/png", "image/gif", "image/svg+xml", "video/mp4" or "audio/wav".
        data: The file's bytes.
        figure: Number of the paper's figure that it reproduces, where it does.
        film: Of a GIF, the same frames as MP4: a fifth of its bytes, for a page that holds many.
    """

    name: str
    caption: str
    media_type: str
    data: bytes
    figure: int | None = None
    film: bytes | None = None

    @property
    def file(self) -> str:
        """The name with the extension of its media type."""
        return f"{self.name}.{self.media_type.rsplit('/', 1)[1].removesuffix('+xml')}"

    @property
    def url(self) -> str:
        """The bytes as a data URL, for a page that stands alone; those of the film where there is one."""
        media_type, data = (self.media_type, self.data) if self.film is None else ("video/mp4", self.film)
        return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


@dataclass(frozen=True)
class Evaluation:
    """All that was found of one model.

    Attributes:
        model: Name of its folder.
        method: "R-WAE", "DS-VAE", "FHVAE" or "MoCoGAN".
        dataset: Name of the dataset in the catalogue.
        clips: Test sequences.
        seed: Repeat r draws with seed + r.
        repeats: Repeats.
        judge: What judges, and how right it is on real test data: in %, by factor.
        sections: In the order in which they are shown.
        pictures: In the order in which they are shown.
    """

    model: str
    method: str
    dataset: str
    clips: int
    seed: int
    repeats: int
    judge: dict[str, float]
    sections: tuple[Section, ...]
    pictures: tuple[Picture, ...] = ()

    def section(self, name: str) -> Section | None:
        """The section of this name, where there is one."""
        return next((section for section in self.sections if section.name == name), None)

    def as_json(self) -> dict[str, Any]:
        """The figures as JSON has them; pictures are files of their own."""
        return {
            "model": self.model,
            "method": self.method,
            "dataset": self.dataset,
            "clips": self.clips,
            "seed": self.seed,
            "repeats": self.repeats,
            "judge": self.judge,
            "sections": [
                {
                    "name": section.name,
                    "title": section.title,
                    "table": section.table,
                    "note": section.note,
                    "values": {name: {"mean": value.mean, "std": value.std} for name, value in section.values.items()},
                }
                for section in self.sections
            ],
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Evaluation:
        """What `as_json` returned, without pictures.

        Raises:
            KeyError, TypeError: it is something else.
        """
        sections = tuple(
            Section(**{**section, "values": {name: Value(**value) for name, value in section["values"].items()}})
            for section in found["sections"]
        )
        return cls(**{**found, "sections": sections})


def over_repeats(draws: Sequence[dict[str, float]]) -> dict[str, Value]:
    """Mean and sample standard deviation of each column over repeats; no deviation of a single one."""
    columns = draws[0]
    return {
        name: Value(
            statistics.fmean(draw[name] for draw in draws),
            statistics.stdev(draw[name] for draw in draws) if len(draws) > 1 else None,
        )
        for name in columns
    }


def without_spread(figures: dict[str, float]) -> dict[str, Value]:
    """Figures that draw nothing."""
    return {name: Value(value) for name, value in figures.items()}
