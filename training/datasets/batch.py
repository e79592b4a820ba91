"""What a model sees of a dataset at one step of training.

Shapes: B clips, T frames of any one shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets import Dataset


@dataclass(frozen=True)
class Batch:
    """Clips with values in [0, 1], which of the dataset's they are, and what is true of each."""

    indices: Int[Tensor, " B"]
    clips: Float[Tensor, "B T *frame"]
    labels: dict[str, Int[Tensor, " B"]]


def random_batch(data: Dataset, size: int, generator: torch.Generator) -> Batch:
    """`size` clips drawn with replacement."""
    indices = torch.randint(len(data), (size,), generator=generator, device=data.device)
    return Batch(indices, data.clips(indices), data.labels(indices))
