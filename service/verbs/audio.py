"""The verbs of audio models.

Shapes: n clips of N samples in [−1, 1], T = ⌈N / hop⌉ columns of K bins in [0, 1], Dc content, Dm motion dimensions.

No two requests share a pass: the windows of a recording are a batch already, and what a wave becomes, to the bit,
depends on nothing else. A work is done in steps, between which it can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

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
from service.verbs.base import Codes, Draws, Numbers, Operation, Plan, Work, clip_generator, codes_of, rows_of

Samples = NDArray[np.float32]

CEILING = 1 - 2.0**-15
"""The largest sample that 16 bits can say."""
LIMITER_S = 0.005
"""How long before and after a peak the limiter turns the sound down."""

COLUMNS_A_FRAME = 16
"""Columns of a spectrum that cost about as much as one frame of a picture, or less."""
SAMPLES_A_COLUMN = 160
"""What a column of most models has, for costs alone."""


@dataclass(frozen=True, eq=False)
class SoundStep(Operation[Any]):
    """One step of a work, which shares its pass with no other: what `task` returns, for so many columns."""

    columns: int
    task: Callable[[], Any]

    @property
    @override
    def shape(self) -> tuple[object, ...]:
        return (id(self),)

    @property
    @override
    def cost(self) -> int:
        return _cost(self.columns)

    @classmethod
    @override
    def run(cls, network: RWAE, batch: Sequence[Self]) -> list[Any]:
        return [step.task() for step in batch]


@dataclass(frozen=True)
class Encoded:
    """Codes of a clip, and how far the spectrum that they decode to is from the clip's.

    `lsd_db` is the log-spectral distance: the mean over columns of the root mean square over bins, in dB.
    """

    codes: Codes
    lsd_db: float


@dataclass(frozen=True)
class Encode(Work[Encoded]):
    """Codes of a clip (N,): posterior means, or with a seed a draw from the posteriors."""

    wave: Samples
    seed: int | None = None

    @property
    @override
    def cost(self) -> int:
        return 2 * _cost(len(self.wave) // SAMPLES_A_COLUMN)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Encoded]:
        spectrum = spectrum_of(network.config)
        columns = spectrum.columns(len(self.wave))
        noise = None if self.seed is None else clip_generator(self.seed, 0)
        wave = _tensor(network, self.wave)[None]
        ((recording, latents),) = yield [SoundStep(columns, partial(_encoded, network, wave, spectrum, noise))]
        (decoded,) = yield [SoundStep(columns, partial(decode_recording, network, latents))]
        errors = (decoded.float() - recording) * spectrum.floor_db
        return Encoded(codes_of(latents)[0], errors.square().mean(1).sqrt().mean().item())


@dataclass(frozen=True)
class Decode(Work[Samples]):
    """The clip of codes, T · hop samples."""

    codes: Codes

    @property
    @override
    def cost(self) -> int:
        return 2 * _cost(len(self.codes.z_m))

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Samples]:
        spectrum, columns = spectrum_of(network.config), len(self.codes.z_m)
        latents = Latents(_tensor(network, self.codes.z_c)[None], _tensor(network, self.codes.z_m)[None])
        (decoded,) = yield [SoundStep(columns, partial(decode_recording, network, latents))]
        wave: Samples
        (wave,) = yield [SoundStep(columns, partial(_sound, decoded, spectrum, _fixed()))]
        return wave


@dataclass(frozen=True)
class Swap(Work[tuple[Samples, ...]]):
    """z^c of `content` (S,) with z^m of `motion` (N,), whose phase it starts from and whose loudness it has.

    `both` adds the other direction.
    """

    content: Samples
    motion: Samples
    both: bool = False

    @property
    @override
    def cost(self) -> int:
        content, motion = (_cost(len(wave) // SAMPLES_A_COLUMN) for wave in (self.content, self.motion))
        return content + motion + 2 * (content + motion if self.both else motion)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[tuple[Samples, ...]]:
        spectrum = spectrum_of(network.config)
        clips: list[tuple[Tensor, Latents]] = []
        for source in (_tensor(network, wave)[None] for wave in (self.content, self.motion)):
            encode = partial(_encoded, network, source, spectrum)
            ((_, latents),) = yield [SoundStep(spectrum.columns(source.shape[1]), encode)]
            clips.append((source, latents))
        swaps = []
        for (_, kept), (source, moved) in [clips, clips[::-1]] if self.both else [clips]:
            columns = moved.z_m.shape[1]
            decode = partial(decode_recording, network, Latents(kept.z_c, moved.z_m))
            (swapped,) = yield [SoundStep(columns, decode)]
            (wave,) = yield [SoundStep(columns, partial(_sound_like, swapped, source, spectrum))]
            swaps.append(wave)
        return tuple(swaps)


@dataclass(frozen=True)
class Generated:
    """New clips (n, N) and the codes of each."""

    clips: Samples
    codes: list[Codes]


class Generate(Draws, Work[Generated]):
    """New clips, of codes from the priors."""

    @property
    @override
    def cost(self) -> int:
        return _cost(self.n * self.frames) + 2 * self.n * _cost(self.frames)

    @override
    def plan(self, network: RWAE, most: int) -> Plan[Generated]:
        spectrum = spectrum_of(network.config)
        generators = [clip_generator(self.seed, clip) for clip in range(self.n)]

        def sample() -> Latents:
            return network.sample(
                self.n,
                self.frames,
                generators,
                temperature=self.temperature,
                z_c=_given(network, self.z_c, self.n),
                z_m=_given(network, self.z_m, self.n),
                action=_given(network, self.action, self.n),
            )

        (latents,) = yield [SoundStep(self.n * self.frames, sample)]
        waves = []
        for row, generator in zip(rows_of(latents), generators, strict=True):
            (spectra,) = yield [SoundStep(self.frames, partial(decode_recording, network, row))]
            # The phases' noise comes from the same generator, after that of the codes.
            (wave,) = yield [SoundStep(self.frames, partial(_sound, spectra, spectrum, generator))]
            waves.append(wave)
        return Generated(np.stack(waves), codes_of(latents))


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


def _encoded(
    network: RWAE, wave: Float[Tensor, "1 N"], spectrum: SpectrumConfig, noise: torch.Generator | None = None
) -> tuple[Float[Tensor, "T K"], Latents]:
    """A clip's spectrum, and its codes."""
    recording = analyse(wave, spectrum)[0]
    return recording, encode_recording(network, recording, noise)


def _sound(columns: Float[Tensor, "T K"], spectrum: SpectrumConfig, noise: torch.Generator) -> Samples:
    """The wave of a spectrum whose phases start from noise where nothing says more."""
    wave = synthesise(columns[None], len(columns) * spectrum.hop, spectrum, generator=[noise])
    return _samples(wave, spectrum)[0]


def _sound_like(columns: Float[Tensor, "T K"], source: Float[Tensor, "1 N"], spectrum: SpectrumConfig) -> Samples:
    """The wave of a spectrum with the phase and the loudness of another."""
    wave = synthesise(columns[None], source.shape[1], spectrum, phase_of=source, generator=_fixed())
    return _samples(as_loud_as(wave, source), spectrum)[0]


def _cost(columns: int) -> int:
    return max(1, columns // COLUMNS_A_FRAME)


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
