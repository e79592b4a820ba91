"""The datasets by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch

from training.datasets import Dataset
from training.datasets.human_actions import HumanActions
from training.datasets.librispeech import LibriSpeech
from training.datasets.moving_shapes import MovingShapes
from training.datasets.mug import MUG
from training.datasets.sm_mnist import SMMNIST
from training.datasets.sprites import Sprites
from training.datasets.timit import TIMIT

Name = Literal["sprites", "sm-mnist", "moving-shapes", "human-actions", "mug", "timit", "librispeech"]

_DATASETS: dict[Name, Callable[..., Dataset]] = {
    "sprites": Sprites,
    "sm-mnist": SMMNIST,
    "moving-shapes": MovingShapes,
    "human-actions": HumanActions,
    "mug": MUG,
    "timit": TIMIT,
    "librispeech": LibriSpeech,
}


def open_dataset(name: Name, folder: Path | None, split: str, device: torch.device | str, *, frames: int) -> Dataset:
    """One split of a dataset, cut into sequences of `frames` frames.

    Raises:
        DataError: it is missing or incomplete, or has no sequences of that length; the message says what to do.
    """
    return _DATASETS[name](folder, split, device, frames=frames)
