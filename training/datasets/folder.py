"""A folder of clips of one's own: any kind, size and rate that the service decodes.

Shapes: B clips, T frames of C×H×W with values in [0, 1].
"""

from __future__ import annotations

import statistics
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets.decoded import SOUND, Decoded, decode_films
from training.datasets.errors import DataError
from training.datasets.own_files import SOURCE, OwnFiles
from training.datasets.takes import Takes

RATE = 12.5
"""Frames a second that clips are taken at, as nearly as every other frame, every third … allows: human actions'."""


class FolderDataset:
    """Every clip of T frames in one split's files, from each start at which it fits.

    Files of 50 frames a second are taken every fourth, of 25 every other, of 12 every frame, so that what moves as
    fast does so in all of them; fewer are left out where a file would otherwise be too short for T.

    Files are decoded once (`training.datasets.decoded`); those that cannot be used are skipped and named
    (`training.datasets.own_files`). Clips are numbered file by file and within it by their first frame, so what an
    index is depends on T.

    Args:
        folder: Holds the files and, where there is something to tell of them, `labels.csv`.
        split: "train", "validation" or "test", as the hash of each file's path says.
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
        if len(frame_shape) != 3:
            raise DataError(f"these are clips of pictures; the model reads frames of {frame_shape[0]} bins")
        own = OwnFiles(
            folder,
            split,
            decode=lambda folder, names: decode_films(folder, names, frame_shape),
            shortage=lambda clip: (
                f"The file has {len(clip.values)} frames, fewer than the {frames} of a clip."
                if len(clip.values) < frames
                else None
            ),
            wanted=f"clips of at least {frames} frames",
            elsewhere=(SOUND, "holds sound and no video; it is trained on with --preset folder-speech"),
        )
        self.files, self.skipped, self.classes = own.files, own.skipped, own.classes
        every = {name: _every(clip, frames) for name, clip in own.clips.items()}
        self.takes = Takes(
            [own.clips[name].values for name in self.files], frames, device, [every[name] for name in self.files]
        )
        self.fps = statistics.median(clip.rate / every[name] for name, clip in own.clips.items())
        self.frames, self.frame_shape = frames, frame_shape
        self.device = torch.device(device)
        self._labels = {column: numbers.to(self.device) for column, numbers in own.labels.items()}

    def __len__(self) -> int:
        return len(self.takes)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The columns of `labels.csv`, each value as its number in `classes`."""
        take = self.takes.take(indices)
        return {column: values[take] for column, values in self._labels.items()}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T C H W"]:
        """The clips themselves."""
        return self.takes.clips(indices)


def _every(clip: Decoded, frames: int) -> int:
    """Which share of a file's frames its clips take, to be at about `RATE` a second and long enough."""
    return max(1, min(round(clip.rate / RATE), (len(clip.values) - 1) // max(1, frames - 1)))
