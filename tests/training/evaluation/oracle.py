"""A dataset whose clips say in two pixels what they show, models whose codes are what is said, and one who reads it.

Of such a model every figure is known beforehand, which proves protocols without training.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from rwae_core.latents import Latents
from training.baselines.mocogan import MoCoGAN, MoCoGANConfig

PEOPLE, ACTIONS = 5, 4


class Signs:
    """Each of 5 people × 4 actions equally often."""

    fps = 8.0
    frame_shape: tuple[int, ...] = (1, 1, 2)
    device = torch.device("cpu")

    def __init__(self, frames: int = 10, length: int = 200) -> None:
        self.frames, self.length = frames, length

    def __len__(self) -> int:
        return self.length

    def labels(self, indices: Tensor) -> dict[str, Tensor]:
        return {"action": indices // PEOPLE % ACTIONS, "person": indices % PEOPLE}

    def clips(self, indices: Tensor) -> Tensor:
        labels = self.labels(indices)
        return paint(labels["person"], labels["action"], self.frames)


def paint(person: Tensor, action: Tensor, frames: int) -> Tensor:
    pixels = torch.stack([person / PEOPLE, action / ACTIONS], 1)
    return pixels[:, None, None, None].expand(-1, frames, -1, -1, -1)


def read(clip: Tensor) -> tuple[Tensor, Tensor]:
    person, action = clip.mean((1, 2, 3)).unbind(1)
    return (person * PEOPLE).round().long(), (action * ACTIONS).round().long()


class Oracle:
    """z^c is the person and z^m the action. A deaf one draws people at random, whatever z^c says."""

    def __init__(self, *, deaf: bool = False, turn: int = 0, actions: bool = False) -> None:
        self.deaf, self.turn, self.actions = deaf, turn, actions
        self.noise = torch.Generator().manual_seed(5)

    def encode(self, clip: Tensor, generator: torch.Generator | None = None) -> Latents:
        person, action = read(clip)
        z_m = action[:, None, None].expand(-1, clip.shape[1], 1).float()
        return Latents(person[:, None].float(), z_m, self.named(action) if self.actions else None)

    def named(self, action: Tensor) -> Tensor:
        """Its own categories: those of the data, but for names that nobody told."""
        return functional.one_hot((action + self.turn) % ACTIONS, ACTIONS).float()

    def decode(self, latents: Latents, steps: Tensor | None = None) -> Tensor:
        person, action = latents.z_c[:, 0].long(), latents.z_m[:, 0, 0].long()
        if latents.action is not None:
            action = (latents.action.argmax(1) - self.turn) % ACTIONS
        if self.deaf:
            person = torch.randint(PEOPLE, person.shape, generator=self.noise)
        return paint(person, action, latents.z_m.shape[1])

    def swap(self, content: Tensor, motion: Tensor) -> Tensor:
        kept, moved = self.encode(content), self.encode(motion)
        return self.decode(Latents(kept.z_c, moved.z_m, moved.action))

    def sample(
        self,
        n: int,
        frames: int,
        generator: torch.Generator | None = None,
        *,
        temperature: float = 1.0,
        z_c: Tensor | None = None,
        z_m: Tensor | None = None,
        action: Tensor | None = None,
    ) -> Latents:
        person = torch.randint(PEOPLE, (n, 1), generator=generator).float()
        motion = torch.randint(ACTIONS, (n, 1, 1), generator=generator).expand(-1, frames, -1).float()
        drawn = torch.randint(ACTIONS, (n,), generator=generator)
        if self.actions and action is None:
            action = functional.one_hot(drawn, ACTIONS).float()
        return Latents(person if z_c is None else z_c, motion if z_m is None else z_m, action)

    def generate(
        self, n: int, frames: int, generator: torch.Generator | None = None, *, temperature: float = 1.0
    ) -> Tensor:
        return self.decode(self.sample(n, frames, generator))


class Unseeing(MoCoGAN):
    """The oracle's generator alone, as MoCoGAN is: nothing encodes."""

    def __init__(self, turn: int) -> None:
        super().__init__(MoCoGANConfig(widths=(8, 8, 8, 8), actions=ACTIONS))
        self.oracle = Oracle(turn=turn, actions=True)

    def sample(self, *arguments, **options):  # type: ignore[no-untyped-def]
        return self.oracle.sample(*arguments, **options)

    def decode(self, latents: Latents, steps: Tensor | None = None) -> Tensor:
        return self.oracle.decode(latents)


class Reader:
    """A judge that is always right, and certain."""

    def __call__(self, clip: Tensor) -> dict[str, Tensor]:
        person, action = read(clip)
        return {
            "action": 1000.0 * functional.one_hot(action, ACTIONS),
            "person": 1000.0 * functional.one_hot(person, PEOPLE),
        }

    def frame_features(self, clip: Tensor) -> Tensor:
        return clip.flatten(0, 1).flatten(1)
