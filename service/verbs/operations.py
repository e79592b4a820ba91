"""What the verbs of video models are made of: clips encoded, codes drawn from the priors, frames decoded.

Shapes: B clips, T frames of H×W×C as bytes in 0..255, Dc content and Dm motion dimensions, A actions; F frames of all
clips in a pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from rwae_core.latents import Latents
from rwae_core.model import RWAE, MotionCodes
from service.verbs.base import Coded, Draws, Numbers, Operation, Result, clip_generator, codes_of, rows_of

Frames = NDArray[np.uint8]

PIECE = 64
"""Frames of one clip that are decoded together: a long clip can be stopped in between, and halved where memory ends."""


@dataclass(frozen=True, eq=False)
class _Encoding(Operation[Result]):
    """What posteriors say of a clip (T, H, W, C), which depends on all of it: a clip cannot be encoded in parts."""

    clip: Frames

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return self.clip.shape

    @property
    @override
    def cost(self) -> int:
        return len(self.clip)


@dataclass(frozen=True, eq=False)
class EncodeClip(_Encoding[Coded]):
    """Codes of a clip: posterior means, or with a seed a draw from the posteriors."""

    seed: int | None = None

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (*super().shape, self.seed is None)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Coded]:
        generators = [clip_generator(each.seed, 0) for each in batch if each.seed is not None]
        return _coded(network.encode(_pixels(network, [each.clip for each in batch]), generators or None))


@dataclass(frozen=True, eq=False)
class EncodeContent(_Encoding[Tensor]):
    """z^c (1, Dc) of a clip, the posterior's mean: most of an encoding's work."""

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Tensor]:
        return list(network.encode_content(_pixels(network, [each.clip for each in batch])).split(1))


@dataclass(frozen=True, eq=False)
class EncodeMotion(_Encoding[MotionCodes]):
    """z^m (1, T, Dm) and the action of a clip, the posteriors' means."""

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[MotionCodes]:
        z_m, action = network.encode_motion(_pixels(network, [each.clip for each in batch]))
        actions = [None] * len(batch) if action is None else action.split(1)
        return [MotionCodes(*codes) for codes in zip(z_m.split(1), actions, strict=True)]


@dataclass(frozen=True, eq=False)
class SampleCodes(Operation[Coded]):
    """Codes of the `clip`-th of the clips that are asked of the priors.

    A step depends on the one before, so that a roll-out cannot be divided.
    """

    asked: Draws
    clip: int

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        asked = self.asked
        given = (None if code is None else code.shape for code in (asked.z_c, asked.z_m, asked.action))
        return (asked.frames, asked.temperature, *given)

    @property
    @override
    def cost(self) -> int:
        return self.asked.frames

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Coded]:
        asked = [each.asked for each in batch]
        return _coded(
            network.sample(
                len(batch),
                asked[0].frames,
                [clip_generator(each.asked.seed, each.clip) for each in batch],
                temperature=asked[0].temperature,
                z_c=_given(network, [each.z_c for each in asked]),
                z_m=_given(network, [each.z_m for each in asked]),
                action=_given(network, [each.action for each in asked]),
            )
        )


@dataclass(frozen=True, eq=False)
class DecodeFrames(Operation[NDArray[np.generic]]):
    """Frames `start` to `stop` of codes, as bytes (S, H, W, C); beside a `target`, how far from it they are, (S,).

    That is the mean squared error of each frame, with values in [0, 1].

    Attributes:
        latents: Codes of one whole clip.
        start: The first frame.
        stop: The one after the last.
        recurrent: Whether a frame depends on those before it.
        together: Whether they are drawn as a clip. Else each is, and those of clips of any length share a pass.
        target: The frames that these are to be.
    """

    latents: Latents
    start: int
    stop: int
    recurrent: bool
    together: bool
    target: Frames | None = None

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        dims = (self.latents.z_c.shape[-1], self.latents.z_m.shape[-1], self.latents.action is None)
        return (*dims, self.latents.z_m.shape[1] if self.recurrent else None, self.cost) if self.together else dims

    @property
    @override
    def cost(self) -> int:
        return self.stop - self.start

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[NDArray[np.generic]]:
        drawn = cls._drawn(network, batch)
        pieces = drawn.split([each.cost for each in batch])
        targets = [each.target for each in batch if each.target is not None]
        if not targets:
            return _cut(as_bytes(drawn), pieces)
        judged = [piece for piece, each in zip(pieces, batch, strict=True) if each.target is not None]
        wanted = _as_values(torch.from_numpy(np.concatenate(targets)).to(drawn.device))
        errors = (torch.cat(judged) - wanted).square().flatten(1).mean(1).float().cpu().numpy()
        found = iter(_cut(errors, judged))
        shown = [piece for piece, each in zip(pieces, batch, strict=True) if each.target is None]
        clips = iter(_cut(as_bytes(torch.cat(shown)), shown) if shown else [])
        return [next(clips if each.target is None else found) for each in batch]

    @classmethod
    def _drawn(cls, network: RWAE, batch: Sequence[Self]) -> Float[Tensor, "F C H W"]:
        codes = [each._codes() for each in batch]
        actions = [clip.action for clip in codes if clip.action is not None]
        clips = Latents(
            torch.cat([clip.z_c for clip in codes]),
            torch.cat([clip.z_m for clip in codes]),
            torch.cat(actions) if actions else None,
        )
        if not batch[0].recurrent or batch[0].cost == clips.z_m.shape[1]:
            return network.decode(clips).flatten(0, 1)
        steps = torch.stack([torch.arange(each.start, each.stop) for each in batch])
        return network.decode(clips, steps.to(clips.z_m.device)).flatten(0, 1)

    def _codes(self) -> Latents:
        """Of all of the clip, where a recurrent part, which is cheap, runs through it; of these frames; or of each."""
        z_c, z_m, action = self.latents.z_c, self.latents.z_m, self.latents.action
        if self.recurrent:
            return self.latents
        part = z_m[:, self.start : self.stop]
        if self.together:
            return Latents(z_c, part, action)
        return Latents(
            z_c.expand(self.cost, -1), part.movedim(1, 0), None if action is None else action.expand(self.cost, -1)
        )


def decoding(network: RWAE, latents: Latents, most: int, target: Frames | None = None) -> list[DecodeFrames]:
    """The operations that decode one clip's codes, of about equally many frames and at most `PIECE` or `most` each.

    Raises:
        ShapeError: codes of other dimensions than the model's, or of no step.
    """
    config = network.config
    latents.check(config.content_dim, config.motion_dim, config.actions)
    frames = latents.z_m.shape[1]
    size = math.ceil(frames / math.ceil(frames / min(PIECE, most)))
    ends = [(start, min(start + size, frames)) for start in range(0, frames, size)]
    return [
        DecodeFrames(
            latents,
            start,
            stop,
            config.decoder == "recurrent",
            network.draws_clips,
            None if target is None else target[start:stop],
        )
        for start, stop in ends
    ]


def given_latents(network: RWAE, z_c: Numbers, z_m: Numbers, action: Numbers | None) -> Latents:
    """Codes of a request as a batch of 1, where the network is."""
    device = next(network.parameters()).device
    acted = None if action is None else torch.from_numpy(action)[None].to(device)
    return Latents(torch.from_numpy(z_c)[None].to(device), torch.from_numpy(z_m)[None].to(device), acted)


def _coded(latents: Latents) -> list[Coded]:
    return [Coded(*clip) for clip in zip(rows_of(latents), codes_of(latents), strict=True)]


def stacked(network: RWAE, rows: Sequence[Tensor]) -> Tensor:
    """Rows of a batch, where the network is."""
    return torch.stack(list(rows)).to(next(network.parameters()).device)


def _given(network: RWAE, rows: Sequence[Numbers | None]) -> Tensor | None:
    """Codes to keep, those of each clip."""
    kept = [torch.from_numpy(row) for row in rows if row is not None]
    return stacked(network, kept) if kept else None


def _pixels(network: RWAE, clips: Sequence[Frames]) -> Float[Tensor, "B T C H W"]:
    return _as_values(torch.from_numpy(np.stack(clips)).to(next(network.parameters()).device))


def _as_values(frames: Tensor) -> Tensor:
    """Bytes with channels last as values in [0, 1] with channels before height and width."""
    return frames.movedim(-1, -3).float() / 255


def as_bytes(frames: Float[Tensor, "F C H W"]) -> Frames:
    """Values in [0, 1] with channels before height and width as bytes with channels last."""
    return (frames * 255).round().to(torch.uint8).movedim(1, -1).contiguous().cpu().numpy()


def _cut(rows: NDArray[np.generic], pieces: Sequence[Tensor]) -> list[NDArray[np.generic]]:
    """Rows of a pass as long as the pieces that they come from."""
    return np.split(rows, np.cumsum([len(piece) for piece in pieces])[:-1].tolist())
