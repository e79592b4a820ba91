"""The verbs of video models.

Shapes: N clips, T (S) frames of H×W×C as bytes in 0..255, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import override

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from service.verbs.base import Codes, Numbers, Work, clip_generator, codes_of

Frames = NDArray[np.uint8]

PSNR_CEILING_DB = 100.0


@dataclass(frozen=True)
class Encoded:
    """Codes of a clip, and the peak signal-to-noise ratio, in dB, of what they decode to."""

    codes: Codes
    psnr_db: float


@dataclass(frozen=True)
class Encode(Work[Encoded]):
    """Codes of a clip (T, H, W, C): posterior means, or with a seed a draw from the posteriors."""

    clip: Frames
    seed: int | None = None

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (*self.clip.shape, self.seed is None)

    @property
    @override
    def cost(self) -> int:
        return 2 * len(self.clip)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Encoded]:
        clips = _tensor(network, [work.clip for work in batch])
        generators = [clip_generator(work.seed, 0) for work in batch if work.seed is not None]
        latents = network.encode(clips, generators or None)
        errors = (network.decode(latents) - clips).square().flatten(1).mean(1)
        ratios = (-10 * errors.clamp_min(10 ** (-PSNR_CEILING_DB / 10)).log10()).tolist()
        return [Encoded(codes, ratio) for codes, ratio in zip(codes_of(latents), ratios, strict=True)]


@dataclass(frozen=True)
class Decode(Work[Frames]):
    """The clip of codes."""

    codes: Codes

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return _shapes(self.codes.z_c, self.codes.z_m, self.codes.action)

    @property
    @override
    def cost(self) -> int:
        return len(self.codes.z_m)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Frames]:
        z_c = _tensor(network, [work.codes.z_c for work in batch])
        z_m = _tensor(network, [work.codes.z_m for work in batch])
        action = _given(network, [work.codes.action for work in batch], [1] * len(batch))
        return list(_frames(network.decode(Latents(z_c, z_m, action))))


@dataclass(frozen=True)
class Swap(Work[tuple[Frames, ...]]):
    """z^c of `content` (S, H, W, C) with z^m of `motion` (T, H, W, C); `both` adds the other direction."""

    content: Frames
    motion: Frames
    both: bool = False

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (self.content.shape, self.motion.shape, self.both)

    @property
    @override
    def cost(self) -> int:
        return (len(self.content) + len(self.motion)) * (2 if self.both else 1)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[tuple[Frames, ...]]:
        content = network.encode(_tensor(network, [work.content for work in batch]))
        motion = network.encode(_tensor(network, [work.motion for work in batch]))
        directions = [(content, motion), (motion, content)] if batch[0].both else [(content, motion)]
        swaps = [network.decode(Latents(kept.z_c, moved.z_m, moved.action)) for kept, moved in directions]
        return list(zip(*(_frames(swap) for swap in swaps), strict=True))


@dataclass(frozen=True)
class Generated:
    """New clips (N, T, H, W, C) and the codes of each."""

    clips: Frames
    codes: list[Codes]


@dataclass(frozen=True)
class Generate(Work[Generated]):
    """`n` clips of `frames` frames from the priors; codes that are given are kept, a short z^m is continued."""

    n: int
    frames: int
    seed: int
    temperature: float = 1.0
    z_c: Numbers | None = None
    z_m: Numbers | None = None
    action: Numbers | None = None

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (self.frames, self.temperature, _shapes(self.z_c, self.z_m, self.action))

    @property
    @override
    def cost(self) -> int:
        return self.n * self.frames

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Generated]:
        counts = [work.n for work in batch]
        first = batch[0]
        latents = network.sample(
            sum(counts),
            first.frames,
            [clip_generator(work.seed, clip) for work in batch for clip in range(work.n)],
            temperature=first.temperature,
            z_c=_given(network, [work.z_c for work in batch], counts),
            z_m=_given(network, [work.z_m for work in batch], counts),
            action=_given(network, [work.action for work in batch], counts),
        )
        ends = np.cumsum(counts)[:-1].tolist()
        clips, codes = np.split(_frames(network.decode(latents)), ends), codes_of(latents)
        starts = [0, *ends]
        return [Generated(clip, codes[start : start + n]) for clip, start, n in zip(clips, starts, counts, strict=True)]


def _shapes(*codes: Numbers | None) -> tuple[object, ...]:
    return tuple(None if code is None else code.shape for code in codes)


def _tensor(network: RWAE, rows: Sequence[Frames | Numbers]) -> Tensor:
    """Codes as they are; clips with channels first and values in [0, 1]."""
    batch = torch.from_numpy(np.stack(rows)).to(next(network.parameters()).device)
    return batch.movedim(-1, 2).float() / 255 if batch.dtype == torch.uint8 else batch


def _given(network: RWAE, rows: Sequence[Numbers | None], counts: Sequence[int]) -> Tensor | None:
    """Codes to keep, each repeated for the clips of its request."""
    kept = [row for row, n in zip(rows, counts, strict=True) if row is not None for _ in range(n)]
    return _tensor(network, kept) if kept else None


def _frames(clips: Tensor) -> Frames:
    return (clips * 255).round().to(torch.uint8).movedim(2, -1).contiguous().cpu().numpy()
