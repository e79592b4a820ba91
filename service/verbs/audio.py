"""The verbs of audio models.

Shapes: n clips of N samples in [−1, 1], T = ⌈N / hop⌉ columns of K bins in [0, 1], Dc content, Dm motion dimensions.

A pass is one request: the windows of a recording are a batch already, and what a wave becomes depends on nothing else.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from typing_extensions import override

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.errors import ShapeError
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.recording import decode_recording, encode_recording
from rwae_core.speech import SpectrumConfig, analyse, as_loud_as, synthesise
from service.verbs.base import Answer, Codes, Numbers, Work, clip_generator, codes_of

Samples = NDArray[np.float32]

CEILING = 1 - 2.0**-15
"""The largest sample that 16 bits can say."""
LIMITER_S = 0.005
"""How long before and after a peak the limiter turns the sound down."""


class _Alone(Work[Answer]):
    """A work that shares its pass with no other."""

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (id(self),)

    @property
    @override
    def cost(self) -> int:
        return 1  # no other work asks what is left of the pass

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Answer]:
        return [work.answer(network, spectrum_of(network.config)) for work in batch]

    @abstractmethod
    def answer(self, network: RWAE, spectrum: SpectrumConfig) -> Answer:
        """Answers this work; `spectrum` says what the model's columns are."""


@dataclass(frozen=True)
class Encoded:
    """Codes of a clip, and how far the spectrum that they decode to is from the clip's.

    `lsd_db` is the log-spectral distance: the mean over columns of the root mean square over bins, in dB.
    """

    codes: Codes
    lsd_db: float


@dataclass(frozen=True)
class Encode(_Alone[Encoded]):
    """Codes of a clip (N,): posterior means, or with a seed a draw from the posteriors."""

    wave: Samples
    seed: int | None = None

    @override
    def answer(self, network: RWAE, spectrum: SpectrumConfig) -> Encoded:
        recording = analyse(_tensor(network, self.wave)[None], spectrum)[0]
        latents = encode_recording(network, recording, None if self.seed is None else clip_generator(self.seed, 0))
        errors = (decode_recording(network, latents).float() - recording) * spectrum.floor_db
        return Encoded(codes_of(latents)[0], errors.square().mean(1).sqrt().mean().item())


@dataclass(frozen=True)
class Decode(_Alone[Samples]):
    """The clip of codes, T · hop samples."""

    codes: Codes

    @override
    def answer(self, network: RWAE, spectrum: SpectrumConfig) -> Samples:
        latents = Latents(_tensor(network, self.codes.z_c)[None], _tensor(network, self.codes.z_m)[None])
        decoded = decode_recording(network, latents)[None]
        return _samples(synthesise(decoded, decoded.shape[1] * spectrum.hop, spectrum, generator=_fixed()), spectrum)[0]


@dataclass(frozen=True)
class Swap(_Alone[tuple[Samples, ...]]):
    """z^c of `content` (S,) with z^m of `motion` (N,), whose phase it starts from and whose loudness it has.

    `both` adds the other direction.
    """

    content: Samples
    motion: Samples
    both: bool = False

    @override
    def answer(self, network: RWAE, spectrum: SpectrumConfig) -> tuple[Samples, ...]:
        waves = [_tensor(network, wave)[None] for wave in (self.content, self.motion)]
        content, motion = (encode_recording(network, analyse(wave, spectrum)[0]) for wave in waves)
        directions = [(content, motion, waves[1]), (motion, content, waves[0])]
        swaps = []
        for kept, moved, source in directions[: 2 if self.both else 1]:
            swapped = decode_recording(network, Latents(kept.z_c, moved.z_m))[None]
            wave = synthesise(swapped, source.shape[1], spectrum, phase_of=source, generator=_fixed())
            swaps.append(_samples(as_loud_as(wave, source), spectrum)[0])
        return tuple(swaps)


@dataclass(frozen=True)
class Generated:
    """New clips (n, N) and the codes of each."""

    clips: Samples
    codes: list[Codes]


@dataclass(frozen=True)
class Generate(_Alone[Generated]):
    """`n` clips of `frames` columns from the priors; codes that are given are kept, a short z^m is continued."""

    n: int
    frames: int
    seed: int
    temperature: float = 1.0
    z_c: Numbers | None = None
    z_m: Numbers | None = None

    @override
    def answer(self, network: RWAE, spectrum: SpectrumConfig) -> Generated:
        generators = [clip_generator(self.seed, clip) for clip in range(self.n)]
        latents = network.sample(
            self.n,
            self.frames,
            generators,
            temperature=self.temperature,
            z_c=_given(network, self.z_c, self.n),
            z_m=_given(network, self.z_m, self.n),
        )
        rows = zip(latents.z_c.split(1), latents.z_m.split(1), strict=True)
        spectra = torch.stack([decode_recording(network, Latents(z_c, z_m)) for z_c, z_m in rows])
        # The phases' noise comes from the same generators, after that of the codes.
        waves = synthesise(spectra, self.frames * spectrum.hop, spectrum, generator=generators)
        return Generated(_samples(waves, spectrum), codes_of(latents))


def spectrum_of(config: ModelConfig) -> SpectrumConfig:
    """What a column of an audio model is; raises ShapeError for other models."""
    if not isinstance(config.frame_networks, SpectrumFrames):
        raise ShapeError("this model's frames are pictures; it has no spectrum")
    return config.frame_networks.spectrum


def limited(wave: Float[Tensor, "n N"], reach: int) -> Float[Tensor, "n N"]:
    """Waves below full scale: `reach` samples before and after what would exceed it the gain dips, smoothly.

    All else stays as it is, to the bit: a waveform cut off at full scale crackles, and turning all of it down for the
    sake of a peak would change its loudness.
    """
    if wave.abs().max() <= CEILING:
        return wave
    width = 2 * reach + 1
    peaks = functional.max_pool1d(wave.abs().clamp(min=CEILING), width, 1, reach)
    ends = functional.pad(CEILING / peaks, (reach, reach), mode="replicate")
    # A mean of gains each of which is low enough for the sample in the middle.
    gain = functional.avg_pool1d(ends, width, 1)
    return torch.where(gain < 1, wave * gain, wave).clamp(-CEILING, CEILING)


def _fixed() -> torch.Generator:
    """Noise of phases where no seed is asked for: the same request gives the same bytes."""
    return clip_generator(0, 0)


def _tensor(network: RWAE, values: Numbers) -> Tensor:
    return torch.from_numpy(values).to(next(network.parameters()).device)


def _given(network: RWAE, code: Numbers | None, n: int) -> Tensor | None:
    """A code to keep, in each of n clips."""
    return None if code is None else _tensor(network, code).expand(n, *code.shape)


def _samples(waves: Float[Tensor, "n N"], spectrum: SpectrumConfig) -> Samples:
    return limited(waves, round(LIMITER_S * spectrum.sample_rate)).cpu().numpy()
