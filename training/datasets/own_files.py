"""Files of one's own in a folder: which of them can be used, which side each is on, and what is said of it."""

from __future__ import annotations

import csv
import hashlib
import os
import sys
from bisect import bisect
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

import torch
from jaxtyping import Int
from torch import Tensor

from rwae_core.media.sniff import SUPPORTED
from training.datasets.decoded import Decoded
from training.datasets.errors import DataError
from training.datasets.source import Source

LABELS = "labels.csv"
TRAINED_ON, HELD_OUT = 0.8, 0.9
"""Where training files end, and then those for validation, among all hashes; the rest is for test."""

SOURCE = Source(
    title="Your own folder",
    needs=f"clips anywhere in <data>, of any length, size and rate, as {SUPPORTED}, of which the preset reads the "
    f"pictures or the sound; where there is something to tell of them, <data>/{LABELS} has a column 'file' and one for "
    "each label, such as 'speaker'",
    origin="wherever you have them",
    licence="yours",
)


class OwnFiles:
    """The files of a folder that can be used, and those of one split among them.

    A file is on the side that the SHA-256 of its path says, whatever else is in the folder: of many, 80% are for
    training, 10% for validation and 10% for test. Only where training or validation would have none, the nearest file
    changes sides.

    Files that cannot be used are skipped, and each is named on standard error when the training split is opened.

    Args:
        folder: Holds the files, in folders or not; what begins with a dot is left out. A `labels.csv` in it names each
            file that can be used once, with a value of each of its other columns.
        split: "train", "validation" or "test".
        decode: What the files of these paths in the folder hold, or why nothing, file by file.
        shortage: What a file that was decoded lacks, in a sentence; None where it can be used.
        wanted: What can be used, in the plural.
        elsewhere: Which of `decode`'s reasons means that a folder of nothing better is for another preset, and what to
            say of it.

    Attributes:
        clips: What each file holds that can be used, of all splits.
        files: The paths of the split's files in the folder, in order.
        skipped: Why each file that is of no split cannot be used.
        rows: What `labels.csv` says of each file, column by column. Empty without it.
        classes: The values of each label in order; labels are numbers in it.
        labels: Each column's numbers, in the order of `files`.

    Raises:
        DataError: the folder is missing or has too few clips, or `labels.csv` is wrong; the message says where.
    """

    def __init__(
        self,
        folder: Path | None,
        split: str,
        *,
        decode: Callable[[Path, Sequence[str]], dict[str, Decoded | str]],
        shortage: Callable[[Decoded], str | None],
        wanted: str,
        elsewhere: tuple[str, str],
    ) -> None:
        if folder is None or not Path(folder).is_dir():
            raise DataError(f"{folder} is not a folder. {SOURCE.help}" if folder else SOURCE.help)
        folder = Path(folder)
        names = _names(folder)
        self.rows = _rows(folder / LABELS, names)
        self.clips, self.skipped = dict[str, Decoded](), dict[str, str]()
        found = decode(folder, names)
        for name, decoded in found.items():
            reason = decoded if isinstance(decoded, str) else shortage(decoded)
            if reason:
                self.skipped[name] = reason
            elif isinstance(decoded, Decoded):
                self.clips[name] = decoded
        if split == "train" and self.skipped:  # every split skips the same
            print(f"{len(self.skipped)} of {len(names)} files in {folder} are skipped:", file=sys.stderr)
            for name, reason in self.skipped.items():
                print(f"  {name}: {reason}", file=sys.stderr)
        other_modality, instead = elsewhere
        if other_modality in found.values() and all(isinstance(decoded, str) for decoded in found.values()):
            raise DataError(f"{folder} {instead}. {SOURCE.help}")
        if len(self.clips) < 2:
            raise DataError(
                f"{folder} holds {len(self.clips)} {wanted} that can be decoded, of {len(names)} files; 2 are the "
                f"least, one to learn from and one to hold out. {SOURCE.help}"
            )
        self.files = tuple(of_split(self.clips, split))
        if not self.files:
            raise DataError(f"{folder} has no files for {split}: {len(self.clips)} are too few")
        if self.rows and (unlabelled := [name for name in self.clips if name not in self.rows]):
            raise DataError(f"{folder / LABELS} says nothing of {len(unlabelled)} files, such as {unlabelled[0]}")
        columns = next(iter(self.rows.values()), {})
        self.classes = {column: tuple(sorted({row[column] for row in self.rows.values()})) for column in columns}
        self.labels: dict[str, Int[Tensor, " files"]] = {
            column: torch.tensor([values.index(self.rows[name][column]) for name in self.files])
            for column, values in self.classes.items()
        }


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


def _rows(path: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a table says of each file, column by column; nothing where there is none."""
    if not path.is_file():
        return {}
    known, rows = set(names), dict[str, dict[str, str]]()
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
                if name in rows:
                    raise DataError(f"{where} names {name}, as a line before does")
                rows[name] = values
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a table of comma-separated values in UTF-8: {error}") from error
    if not rows:
        raise DataError(f"{path} names no file; remove it where there is nothing to tell")
    return rows
