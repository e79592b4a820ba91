"""What a model sees of a dataset at one step of training.

Shapes: B clips, T frames of any one shape, W other windows of each clip's recording.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets import Dataset, Filmed, Recorded


@dataclass(frozen=True)
class Batch:
    """Clips with values in [0, 1], which of the dataset's they are, and what is true of each.

    `recording` is windows of each clip's recording, and `look_alikes` a clip each of what looks like it and does
    something else, where they were asked for.
    """

    indices: Int[Tensor, " B"]
    clips: Float[Tensor, "B T *frame"]
    labels: dict[str, Int[Tensor, " B"]]
    recording: Float[Tensor, "B W T *frame"] | None = None
    look_alikes: Float[Tensor, "B T *frame"] | None = None


def random_batch(
    data: Dataset, size: int, generator: torch.Generator, *, windows: int = 0, look_alikes: bool = False
) -> Batch:
    """`size` clips drawn with replacement, so many other clips of each one's recording and a look-alike of each."""
    indices = torch.randint(len(data), (size,), generator=generator, device=data.device)
    recording = None
    if windows and isinstance(data, Recorded):
        others = data.companions(indices, windows, generator)
        recording = data.clips(others.flatten()).unflatten(0, others.shape)
    alike = None
    if look_alikes and isinstance(data, Filmed):
        alike = data.clips(data.look_alikes(indices, generator))
    return Batch(indices, data.clips(indices), data.labels(indices), recording, alike)
