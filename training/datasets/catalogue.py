"""The datasets by name."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from training.datasets import Dataset
from training.datasets.errors import DataError
from training.datasets.folder import FolderDataset
from training.datasets.folder_speech import FolderSpeech
from training.datasets.human_actions import HumanActions
from training.datasets.librispeech import LibriSpeech
from training.datasets.moving_shapes import MovingShapes
from training.datasets.mug import MUG
from training.datasets.sm_mnist import SMMNIST
from training.datasets.sprites import Sprites
from training.datasets.timit import TIMIT

Name = Literal["sprites", "sm-mnist", "moving-shapes", "human-actions", "mug", "timit", "librispeech", "folder"]


DATASETS: dict[
    Name, type[Sprites | SMMNIST | MovingShapes | HumanActions | MUG | TIMIT | LibriSpeech | FolderDataset]
] = {
    "sprites": Sprites,
    "sm-mnist": SMMNIST,
    "moving-shapes": MovingShapes,
    "human-actions": HumanActions,
    "mug": MUG,
    "timit": TIMIT,
    "librispeech": LibriSpeech,
    "folder": FolderDataset,
}


def open_dataset(
    name: Name,
    folder: Path | None,
    split: str,
    device: torch.device | str,
    *,
    frames: int,
    frame_shape: tuple[int, ...] | None = None,
) -> Dataset:
    """One split of a dataset, cut into sequences of `frames` frames.

    `frame_shape` is what a model reads: of your own clips, the pictures are fitted to it or, where it is a spectrum's
    column, the sound is read; every other dataset has one shape alone.

    Raises:
        DataError: it is missing or incomplete, or has no sequences of that length or frames of that shape; the message
            says what to do.
    """
    sound = name == "folder" and frame_shape is not None and len(frame_shape) == 1
    dataset = FolderSpeech if sound else DATASETS[name]
    if frame_shape is None or frame_shape == dataset.frame_shape:
        return dataset(folder, split, device, frames=frames)
    if dataset is FolderDataset:
        return FolderDataset(folder, split, device, frames=frames, frame_shape=frame_shape)
    has, read = ("×".join(map(str, shape)) for shape in (dataset.frame_shape, frame_shape))
    raise DataError(f"{name} has frames of {has}, the model reads {read}; change [model.frame_networks] in the preset")
