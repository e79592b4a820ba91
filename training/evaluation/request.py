"""What is asked of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor


@dataclass(frozen=True)
class Request:
    """One model's evaluation.

    Attributes:
        model: Name of its folder.
        method: "R-WAE", "DS-VAE", "FHVAE" or "MoCoGAN".
        seed: Repeat r draws with seed + r.
        repeats: Repeats.
        quick: Whether a few hundred clips do.
        table: The one table of the paper whose sections are wanted; all sections where absent.
    """

    model: str
    method: str
    seed: int = 0
    repeats: int = 5
    quick: bool = False
    table: int | None = None

    def wants(self, table: int | None = None) -> bool:
        """Whether sections of this table, or of none, are wanted."""
        return self.table in (None, table)

    def clips(self, available: int, *, most: int | None = None, quick: int) -> Int[Tensor, " N"]:
        """Which clips are judged: all, or in order as many as are wanted of them, drawn without the seed.

        Args:
            available: Clips that there are.
            most: As many as are judged at most; all where absent.
            quick: As many as a quick evaluation judges.
        """
        return some(available, quick if self.quick else most or available)

    def generators(self) -> list[torch.Generator]:
        """A source of random numbers for each repeat."""
        return [torch.Generator().manual_seed(self.seed + repeat) for repeat in range(self.repeats)]


def some(available: int, wanted: int) -> Int[Tensor, " N"]:
    """At most `wanted` of `available` indices in order, always the same, and aligned with no period of theirs."""
    if wanted >= available:
        return torch.arange(available)
    return torch.randperm(available, generator=torch.Generator().manual_seed(0))[:wanted].sort().values
