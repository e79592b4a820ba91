"""Clips that go on for as long as somebody asks for more, made part by part in even memory.

Shapes: N clips, T frames of a part of H×W×C as bytes in 0..255, Dm motion dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from typing_extensions import override

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.motion import Rollout, State
from service.verbs.base import Draws, Numbers, Operation, Plan, Work, clip_generator
from service.verbs.operations import Frames, as_bytes, decoding, stacked


class Stream:
    """New clips, as `Generate` makes them with the same seed, of any length.

    Args:
        asked: What to generate; `frames` is not looked at.
    """

    def __init__(self, asked: Draws) -> None:
        self.asked = asked
        self.frames = 0
        self._generators = [clip_generator(asked.seed, clip) for clip in range(asked.n)]
        self._clips: list[_Clip] | None = None

    def next(self, frames: int) -> Continue:
        """The work that makes so many more frames of each clip. One at a time, and each once."""
        return Continue(self, frames)

    def begin(self, network: RWAE) -> list[_Clip]:
        """Where the clips stand; draws what does not change over time where they have not begun."""
        device = next(network.parameters()).device
        if self._clips is None:
            z_c, action = (_repeated(code, self.asked.n, device) for code in (self.asked.z_c, self.asked.action))
            z_c, action = network.sample_static(
                self.asked.n, self._generators, temperature=self.asked.temperature, z_c=z_c, action=action
            )
            actions = [None] * self.asked.n if action is None else list(action.split(1))
            self._clips = [
                _Clip(content, each, network.prior.begin(content, each))
                for content, each in zip(z_c.split(1), actions, strict=True)
            ]
        return [clip.to(device) for clip in self._clips]

    def noise(self, network: RWAE, frames: int) -> Float[Tensor, "N T E"]:
        """The next noise of the prior."""
        like = next(network.parameters())
        return self.asked.temperature * network.prior.noise(self.asked.n, frames, self._generators, like)

    def given(self, frames: int) -> Numbers | None:
        """What of the next frames' motion is fixed (S, Dm), S ≤ `frames`."""
        z_m = self.asked.z_m
        return None if z_m is None or len(z_m) <= self.frames else z_m[self.frames :][:frames]

    def advance(self, clips: list[_Clip], frames: int) -> None:
        """Notes where the clips stand after so many frames more."""
        self._clips = clips
        self.frames += frames


@dataclass(frozen=True)
class _Clip:
    """Where one clip of a stream stands, as a batch of 1: what does not change, and what the next part goes on from."""

    z_c: Float[Tensor, "1 Dc"]
    action: Float[Tensor, "1 A"] | None
    rollout: Rollout
    memory: State | None = None

    def to(self, device: torch.device) -> _Clip:
        """The same on another device: the parts of a stream are made wherever there is room."""
        rollout = Rollout(self.rollout.z_m.to(device), _on(self.rollout.state, device))
        action = None if self.action is None else self.action.to(device)
        return _Clip(self.z_c.to(device), action, rollout, self.memory and _on(self.memory, device))


@dataclass(frozen=True, eq=False)
class Continue(Work[Frames]):
    """The next frames of a stream's clips, (N, T, H, W, C)."""

    stream: Stream
    frames: int

    @property
    @override
    def cost(self) -> int:
        return 2 * self.stream.asked.n * self.frames

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Frames]:
        stream, frames = self.stream, self.frames
        clips, given = stream.begin(network), stream.given(frames)
        rolled: list[tuple[Tensor, Rollout]] = yield [
            RollOut(noise, given, clip.rollout)
            for noise, clip in zip(stream.noise(network, frames), clips, strict=True)
        ]
        codes = [Latents(clip.z_c, z_m, clip.action) for clip, (z_m, _) in zip(clips, rolled, strict=True)]
        memories: list[State | None]
        if network.config.decoder == "recurrent":
            drawn = yield [DecodeOn(part, clip.memory) for part, clip in zip(codes, clips, strict=True)]
            pieces, memories = [part for part, _ in drawn], [memory for _, memory in drawn]
        else:
            pieces = yield [piece for part in codes for piece in decoding(network, part, most)]
            memories = [None] * len(clips)
        stream.advance(
            [
                _Clip(clip.z_c, clip.action, rollout, memory)
                for clip, (_, rollout), memory in zip(clips, rolled, memories, strict=True)
            ],
            frames,
        )
        pixels = np.concatenate(pieces)
        return pixels.reshape(len(clips), frames, *pixels.shape[1:])


@dataclass(frozen=True, eq=False)
class RollOut(Operation[tuple[Tensor, Rollout]]):
    """Steps of one clip's prior: z^m (1, T, Dm), and where the roll-out then stands.

    Attributes:
        noise: Of each step, scaled by the temperature.
        given: Codes that the first steps have instead.
        after: Where the part before ended.
    """

    noise: Float[Tensor, "T E"]
    given: Numbers | None
    after: Rollout

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (self.noise.shape, None if self.given is None else self.given.shape)

    @property
    @override
    def cost(self) -> int:
        return len(self.noise)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[tuple[Tensor, Rollout]]:
        noise = stacked(network, [each.noise for each in batch])
        given = [torch.from_numpy(each.given) for each in batch if each.given is not None]
        last = torch.cat([each.after.z_m for each in batch])
        after = Rollout(last, _joined([each.after.state for each in batch]))
        z_m, (last, state) = network.roll_out(noise, after, given=stacked(network, given) if given else None)
        ends = zip(last.split(1), _apart(state), strict=True)
        return list(zip(z_m.split(1), (Rollout(*end) for end in ends), strict=True))


@dataclass(frozen=True, eq=False)
class DecodeOn(Operation[tuple[Frames, State | None]]):
    """The frames (T, H, W, C) of the next part of a clip of a decoder that remembers, and what it then remembers."""

    latents: Latents
    after: State | None

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (self.latents.z_m.shape, self.latents.action is None, self.after is None)

    @property
    @override
    def cost(self) -> int:
        return self.latents.z_m.shape[1]

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[tuple[Frames, State | None]]:
        rows = [each.latents for each in batch]
        actions = [row.action for row in rows if row.action is not None]
        latents = Latents(
            torch.cat([row.z_c for row in rows]),
            torch.cat([row.z_m for row in rows]),
            torch.cat(actions) if actions else None,
        )
        after = [each.after for each in batch if each.after is not None]
        frames, state = network.decode_on(latents, _joined(after) if after else None)
        pixels = as_bytes(frames.flatten(0, 1))
        states = [None] * len(batch) if state is None else _apart(state)
        return list(zip(np.split(pixels, len(batch)), states, strict=True))


def _joined(states: Sequence[State]) -> State:
    """States of single clips as that of a batch."""
    return State(*(torch.cat(parts) for parts in zip(*states, strict=True)))


def _on(state: State, device: torch.device) -> State:
    return State(state.hidden.to(device), state.cell.to(device))


def _apart(state: State) -> list[State]:
    return [State(*row) for row in zip(state.hidden.split(1), state.cell.split(1), strict=True)]


def _repeated(code: Numbers | None, n: int, device: torch.device) -> Tensor | None:
    return None if code is None else torch.from_numpy(code).to(device).expand(n, -1)
