"""A folder of clips of one's own: any kind, size and rate that the service decodes.

Shapes: B clips, T frames of C×H×W with values in [0, 1].
"""

from __future__ import annotations

import csv
import hashlib
import os
import statistics
import sys
from bisect import bisect
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets.decoded import SOUND, Decoded, decode_files
from training.datasets.errors import DataError
from training.datasets.source import Source
from training.datasets.takes import Takes

LABELS = "labels.csv"
TRAINED_ON, HELD_OUT = 0.8, 0.9
"""Where training files end, and then those for validation, among all hashes; the rest is for test."""
RATE = 12.5
"""Frames a second that clips are taken at, as nearly as every other frame, every third … allows: human actions'."""

SOURCE = Source(
    title="Your own folder",
    needs="clips anywhere in <data>, of any length, size and rate, as MP4, MOV, WebM, GIF, animated WebP or APNG, "
    f"fitted to the model's frames; where there is something to tell of them, <data>/{LABELS} has a column 'file' "
    "and one for each label",
    origin="wherever you have them",
    licence="yours",
)


class FolderDataset:
    """Every clip of T frames in one split's files, from each start at which it fits.

    Files of 50 frames a second are taken every fourth, of 25 every other, of 12 every frame, so that what moves as
    fast does so in all of them; fewer are left out where a file would otherwise be too short for T.

    A file is on the side that the SHA-256 of its path says, whatever else is in the folder: of many, 80% are for
    training, 10% for validation and 10% for test. Only where training or validation would have none, the nearest file
    changes sides.

    Files are decoded once (`training.datasets.decoded`). Those that cannot be used are skipped, and each is named on
    standard error when the training split is opened. Clips are numbered file by file and within it by their first
    frame, so what an index is depends on T.

    Args:
        folder: Holds the files, in folders or not; what begins with a dot is left out. A `labels.csv` in it names each
            file that can be used once, with a value of each of its other columns.
        split: "train", "validation" or "test".
        device: Where frames are kept, as bytes: 12 kB each of 3×64×64.
        frames: T.
        frame_shape: C×H×W, H = W: files are cropped to a square and resized.

    Attributes:
        fps: The median of the rates that the folder's files are taken at.
        files: The paths of the split's files in the folder, in the order of their clips.
        skipped: Why each file that is of no split cannot be used.
        classes: The values of each label in order; labels are numbers in it. Empty without `labels.csv`.

    Raises:
        DataError: the folder is missing, has too few clips or only sound, or `labels.csv` is wrong; the message says
            where.
    """

    source = SOURCE
    frame_shape: tuple[int, ...] = (3, 64, 64)

    def __init__(
        self,
        folder: Path | None,
        split: str,
        device: torch.device | str = "cpu",
        *,
        frames: int = 8,
        frame_shape: tuple[int, ...] = frame_shape,
    ) -> None:
        if folder is None or not Path(folder).is_dir():
            raise DataError(f"{folder} is not a folder. {SOURCE.help}" if folder else SOURCE.help)
        folder = Path(folder)
        if len(frame_shape) != 3:
            raise DataError(f"a folder has clips of pictures; the model reads frames of {frame_shape[0]} bins")
        names = _names(folder)
        labels = _labels(folder / LABELS, names)
        clips, self.skipped = dict[str, Decoded](), dict[str, str]()
        for name, decoded in decode_files(folder, names, frame_shape).items():
            if isinstance(decoded, str):
                self.skipped[name] = decoded
            elif len(decoded.frames) < frames:
                self.skipped[name] = f"The file has {len(decoded.frames)} frames, fewer than the {frames} of a clip."
            else:
                clips[name] = decoded
        if split == "train" and self.skipped:  # every split skips the same
            print(f"{len(self.skipped)} of {len(names)} files in {folder} are skipped:", file=sys.stderr)
            for name, reason in self.skipped.items():
                print(f"  {name}: {reason}", file=sys.stderr)
        if not clips and SOUND in self.skipped.values():
            raise DataError(f"{folder} holds sound and no video; so far only video can be one's own. {SOURCE.help}")
        if len(clips) < 2:
            raise DataError(
                f"{folder} holds {len(clips)} clips of at least {frames} frames that can be decoded, of {len(names)} "
                f"files; 2 are the least, one to learn from and one to hold out. {SOURCE.help}"
            )
        self.files = tuple(of_split(clips, split))
        if not self.files:
            raise DataError(f"{folder} has no files for {split}: {len(clips)} are too few")
        if labels and (unlabelled := [name for name in clips if name not in labels]):
            raise DataError(f"{folder / LABELS} says nothing of {len(unlabelled)} files, such as {unlabelled[0]}")

        every = {name: _every(clip, frames) for name, clip in clips.items()}
        self.takes = Takes([clips[name].frames for name in self.files], frames, device, [every[n] for n in self.files])
        self.fps = statistics.median(clip.fps / every[name] for name, clip in clips.items())
        self.frames, self.frame_shape = frames, frame_shape
        self.device = torch.device(device)
        columns = next(iter(labels.values()), {})
        self.classes = {column: tuple(sorted({row[column] for row in labels.values()})) for column in columns}
        self._labels = {
            column: torch.tensor([values.index(labels[name][column]) for name in self.files], device=self.device)
            for column, values in self.classes.items()
        }

    def __len__(self) -> int:
        return len(self.takes)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The columns of `labels.csv`, each value as its number in `classes`."""
        take = self.takes.take(indices)
        return {column: values[take] for column, values in self._labels.items()}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T C H W"]:
        """The clips themselves."""
        return self.takes.clips(indices)


def of_split(names: Iterable[str], split: str) -> list[str]:
    """The files of one split, in order: those whose hash, as a fraction, is in its part of [0, 1).

    Of two files or more, training and validation have one at least.
    """
    fractions = {name: int.from_bytes(hashlib.sha256(os.fsencode(name)).digest()[:8]) / 2**64 for name in names}
    order = sorted(fractions, key=fractions.__getitem__)
    first = min(max(1, bisect(order, TRAINED_ON, key=fractions.__getitem__)), len(order) - 1)
    end = max(first + 1, bisect(order, HELD_OUT, key=fractions.__getitem__))
    return sorted({"train": order[:first], "validation": order[first:end], "test": order[end:]}[split])


def _names(folder: Path) -> list[str]:
    """The paths of all files in a folder but its labels, in order; hidden ones, such as the cache, are left out."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names = (path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))
    return sorted(name for name in names if name != LABELS)


def _every(clip: Decoded, frames: int) -> int:
    """Which share of a file's frames its clips take, to be at about `RATE` a second and long enough."""
    return max(1, min(round(clip.fps / RATE), (len(clip.frames) - 1) // max(1, frames - 1)))


def _labels(path: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a table says of each file, column by column; nothing where there is none."""
    if not path.is_file():
        return {}
    known, labels = set(names), dict[str, dict[str, str]]()
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            columns = [column.strip() for column in next(reader, [])]
            if "file" not in columns or len(columns) < 2 or len(set(columns)) < len(columns) or "" in columns:
                raise DataError(
                    f"{path} begins with '{','.join(columns)}'; it needs the column 'file' and others, such as "
                    "'file,person', none of them twice or without a name"
                )
            for row in reader:
                if not row:
                    continue
                values = dict(zip(columns, (value.strip() for value in row), strict=False))
                where = f"line {reader.line_num} of {path}"
                if len(row) != len(columns) or "" in values.values():
                    raise DataError(f"{where} is '{','.join(row)}'; it needs a value of each: {', '.join(columns)}")
                name = PurePosixPath(values.pop("file")).as_posix()
                if name not in known:
                    raise DataError(f"{where} names {name}, which is not in the folder")
                if name in labels:
                    raise DataError(f"{where} names {name}, as a line before does")
                labels[name] = values
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of comma-separated values in UTF-8: {error}") from error
    if not labels:
        raise DataError(f"{path} names no file; remove it where there is nothing to tell")
    return labels
