"""The datasets behind one small interface: sequences in [0, 1] by index, on the device that trains on them.

Shapes: B clips, T frames, each of the dataset's frame shape (C×H×W pixels, or the bins of a spectrum's column).
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Dataset(Protocol):
    """One split of a dataset: `len` sequences, all of `frames` frames of `frame_shape`, values in [0, 1].

    The same index is the same sequence every time, whatever else is in its batch.
    """

    frames: int
    fps: float
    frame_shape: tuple[int, ...]
    device: torch.device

    def __len__(self) -> int: ...

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T *frame"]:
        """The sequences of these indices, on the dataset's device."""
        ...

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """What is true of each sequence, factor by factor; empty where nothing is known."""
        ...


@runtime_checkable
class Recorded(Dataset, Protocol):
    """A dataset whose sequences are cut from longer recordings."""

    def companions(self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator) -> Int[Tensor, "B count"]:
        """Random sequences of the recording that each is from, or of one that is like it, drawn with replacement."""
        ...


@runtime_checkable
class Filmed(Dataset, Protocol):
    """A dataset whose sequences are cut from takes, of which several show the same thing doing something else."""

    def look_alikes(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """Of each sequence a random one that looks like it and probably does something else, or one of its own take."""
        ...
