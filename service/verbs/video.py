"""The verbs of video models.

Shapes: N clips, T (S) frames of H×W×C as bytes in 0..255, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from typing_extensions import override

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from service.verbs.base import Coded, Codes, Draws, Plan, Work
from service.verbs.operations import (
    EncodeClip,
    EncodeContent,
    EncodeMotion,
    Frames,
    SampleCodes,
    decoding,
    given_latents,
)

__all__ = ["PSNR_CEILING_DB", "Decode", "Encode", "Encoded", "Frames", "Generate", "Generated", "Swap"]

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
    def cost(self) -> int:
        return 2 * len(self.clip)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Encoded]:
        coded: Coded
        (coded,) = yield [EncodeClip(self.clip, self.seed)]
        errors = np.concatenate((yield decoding(network, coded.latents, most, target=self.clip)))
        ratio = -10 * np.log10(max(errors.mean(), 10 ** (-PSNR_CEILING_DB / 10)))
        return Encoded(coded.codes, float(ratio))


@dataclass(frozen=True)
class Decode(Work[Frames]):
    """The clip of codes."""

    codes: Codes

    @property
    @override
    def cost(self) -> int:
        return len(self.codes.z_m)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Frames]:
        latents = given_latents(network, self.codes.z_c, self.codes.z_m, self.codes.action)
        return np.concatenate((yield decoding(network, latents, most)))


@dataclass(frozen=True)
class Swap(Work[tuple[Frames, ...]]):
    """z^c of `content` (S, H, W, C) with z^m of `motion` (T, H, W, C); `both` adds the other direction."""

    content: Frames
    motion: Frames
    both: bool = False

    @property
    @override
    def cost(self) -> int:
        content, motion = len(self.content), len(self.motion)
        return content + motion + (content + motion if self.both else motion)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[tuple[Frames, ...]]:
        if self.both:
            coded: list[Coded] = yield [EncodeClip(self.content), EncodeClip(self.motion)]
            content, motion = (clip.latents for clip in coded)
            swaps = [Latents(content.z_c, motion.z_m, motion.action), Latents(motion.z_c, content.z_m, content.action)]
        else:
            z_c, moved = yield [EncodeContent(self.content), EncodeMotion(self.motion)]
            swaps = [Latents(z_c, moved.z_m, moved.action)]
        pieces = [decoding(network, latents, most) for latents in swaps]
        frames = iter((yield [piece for direction in pieces for piece in direction]))
        return tuple(np.concatenate([next(frames) for _ in direction]) for direction in pieces)


@dataclass(frozen=True)
class Generated:
    """New clips (N, T, H, W, C) and the codes of each."""

    clips: Frames
    codes: list[Codes]


class Generate(Draws, Work[Generated]):
    """New clips, of codes from the priors."""

    @property
    @override
    def cost(self) -> int:
        return 2 * self.n * self.frames

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Generated]:
        coded: list[Coded] = yield [SampleCodes(self, clip) for clip in range(self.n)]
        frames = np.concatenate((yield [piece for clip in coded for piece in decoding(network, clip.latents, most)]))
        return Generated(frames.reshape(self.n, self.frames, *frames.shape[1:]), [clip.codes for clip in coded])
