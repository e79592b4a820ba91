"""What the verbs of video and of audio share.

Shapes: N clips, T steps, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from rwae_core.latents import Latents
from rwae_core.model import RWAE

Numbers = NDArray[np.float32]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Codes:
    """Codes of one clip: z^c (Dc), z^m (T, Dm) and, where the model has actions, the action (A)."""

    z_c: Numbers
    z_m: Numbers
    action: Numbers | None = None


class Work(ABC, Generic[Answer]):
    """One request for one model."""

    @property
    @abstractmethod
    def shape(self) -> tuple[object, ...]:
        """What has to agree for two works of a verb to share a batch."""

    @property
    @abstractmethod
    def cost(self) -> int:
        """Frames that pass through the networks."""

    @classmethod
    @abstractmethod
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Answer]:
        """Answers works of one shape, in their order."""


def clip_generator(seed: int, clip: int) -> torch.Generator:
    """Noise of the clip-th clip of a request: the same whatever else is asked for, and on whatever device.

    `torch.Generator` on the CPU keeps only 32 bits of a seed, so all of them are mixed first.
    """
    mixed = np.random.SeedSequence((seed, clip)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed))


def codes_of(latents: Latents) -> list[Codes]:
    """The codes of each clip of a batch."""
    z_c, z_m = latents.z_c.float().cpu().numpy(), latents.z_m.float().cpu().numpy()
    actions = [None] * len(z_c) if latents.action is None else list(latents.action.float().cpu().numpy())
    return [Codes(*codes) for codes in zip(z_c, z_m, actions, strict=True)]
