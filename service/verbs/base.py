"""What the verbs of video and of audio share.

A work is what one request asks of a model. It is done by operations, each of one clip or a part of one; the engine runs
those of all works that are of one kind and shape in one pass of the network, whichever verb they belong to.

Shapes: N clips, T steps, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from typing_extensions import override

from rwae_core.latents import Latents
from rwae_core.model import RWAE

Numbers = NDArray[np.float32]
Answer = TypeVar("Answer")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Codes:
    """Codes of one clip: z^c (Dc), z^m (T, Dm) and, where the model has actions, the action (A)."""

    z_c: Numbers
    z_m: Numbers
    action: Numbers | None = None


class Work(ABC, Generic[Answer]):
    """What one request asks of one model."""

    @property
    @abstractmethod
    def cost(self) -> int:
        """Frames that pass through the networks, in all operations together."""

    @abstractmethod
    def plan(self, network: RWAE, most: int) -> Plan[Answer]:
        """Yields the operations that can be done next, at least one, is sent their results, and returns the answer.

        Runs on the device's thread, without gradients. May be ended at any yield.

        Args:
            network: Where the operations will run.
            most: Frames that may share a pass: an operation that can be divided has no more.
        """

    @classmethod
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Answer]:
        """Answers works without an engine, one after the other."""
        return [_answered(work.plan(network, most=1 << 30), network) for work in batch]


class Operation(Work[Result]):
    """A pass of the networks that others of its kind and shape may share. By itself it is a work, too.

    An operation that shares may be run again, should the pass fail: it changes nothing that it is given.
    """

    @property
    @abstractmethod
    def shape(self) -> tuple[object, ...]:
        """What has to agree for two operations of a kind to share a pass."""

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Result]:
        """Itself."""
        return cast("Result", (yield [self])[0])

    @classmethod
    @abstractmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Result]:
        """Results of operations of one shape, in their order."""


Plan = Generator[Sequence[Operation[Any]], list[Any], Answer]


@dataclass(frozen=True)
class Draws:
    """What is asked of the priors: codes of `n` clips of `frames` steps.

    Attributes:
        n: Clips.
        frames: Steps of each.
        seed: Decides all draws; each clip has its own.
        temperature: Scales the standard deviations.
        z_c: Content (Dc) that all clips keep.
        z_m: Motion (S, Dm) that all clips keep; where it is shorter than `frames`, the prior continues it.
        action: Action (A) that all clips keep.
    """

    n: int
    frames: int
    seed: int
    temperature: float = 1.0
    z_c: Numbers | None = None
    z_m: Numbers | None = None
    action: Numbers | None = None


@dataclass(frozen=True)
class Coded:
    """Codes of one clip, where the networks left them (as a batch of 1) and as they are answered."""

    latents: Latents
    codes: Codes


def _answered(plan: Plan[Answer], network: RWAE) -> Answer:
    operations = next(plan)
    while True:
        results = [type(operation).run(network, [operation])[0] for operation in operations]
        try:
            operations = plan.send(results)
        except StopIteration as end:
            return cast("Answer", end.value)


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


def rows_of(latents: Latents) -> list[Latents]:
    """A batch as batches of one clip each."""
    actions = [None] * len(latents.z_c) if latents.action is None else list(latents.action.split(1))
    return [Latents(*row) for row in zip(latents.z_c.split(1), latents.z_m.split(1), actions, strict=True)]
