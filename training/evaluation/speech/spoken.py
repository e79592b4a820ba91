"""Utterances one by one: who speaks, the wave, its spectrum, and a model's codes of it.

Shapes: N columns of K bins with values in [0, 1], T in a window, W windows, n samples in [−1, 1], Dc content and Dm
motion dimensions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rwae_core.gaussian import Gaussian
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.moments import moments
from rwae_core.recording import decode_recording, encode_recording
from rwae_core.speech import SpectrumConfig, analyse
from training.baselines.fhvae import FHVAE, SEGMENT_STD
from training.datasets.utterances import Utterances

Speaking = RWAE | FHVAE
"""The models of spectra: R-WAE, DS-VAE, which is one with other posteriors, and FHVAE."""
WINDOWS_AT_ONCE = 256


@dataclass(frozen=True)
class Spoken:
    """One utterance, or a piece of one: the number of its speaker and its samples."""

    speaker: int
    wave: Float[Tensor, " n"]
    config: SpectrumConfig

    @property
    def spectrum(self) -> Float[Tensor, "N K"]:
        """What a model sees of it."""
        return analyse(self.wave[None], self.config)[0]

    def beginning(self, seconds: float) -> Spoken:
        """Its first seconds."""
        return Spoken(self.speaker, self.wave[: int(seconds * self.config.sample_rate)], self.config)


def spoken(data: Utterances, pieces: int = 1) -> list[Spoken]:
    """All utterances, each cut into as many pieces of equal length, one after the other."""
    found = []
    for index, speaker in enumerate(data.speaker_of.tolist()):
        wave = data.wave(index)
        length = -(-len(wave) // pieces)
        found += [Spoken(speaker, piece, data.spectrum_config) for piece in wave.split(length)]
    return found


@torch.no_grad()
def encode(model: Speaking, spectrum: Float[Tensor, "N K"]) -> Latents:
    """Posterior means: z^c (1, Dc) is the mean over windows, z^m (1, N, Dm) runs through the utterance.

    The s-vector of FHVAE has the direction of its mean z₂ (`training.baselines.fhvae.sequence_mean`), and a cosine asks
    for no more.
    """
    if isinstance(model, RWAE):
        return encode_recording(model, spectrum)
    codes = [model.encode(some) for some in _windows(spectrum, model.config.frames)]
    z_m = torch.cat([each.z_m.flatten(0, 1) for each in codes])
    return Latents(torch.cat([each.z_c for each in codes]).mean(0, keepdim=True), z_m[None, : len(spectrum)])


@torch.no_grad()
def decode(model: Speaking, latents: Latents) -> Float[Tensor, "N K"]:
    """The spectrum of codes (1, Dc) and (1, N, Dm), window by window as they were encoded."""
    if isinstance(model, RWAE):
        return decode_recording(model, latents)
    drawn = [
        model.decode(Latents(latents.z_c.expand(len(some), -1), some)).flatten(0, 1)
        for some in _windows(latents.z_m[0], model.config.frames)
    ]
    return torch.cat(drawn)[: latents.z_m.shape[1]]


@torch.no_grad()
def nats(model: Speaking, spectrum: Float[Tensor, "N K"]) -> tuple[Tensor, Tensor]:
    """KL of each window's posteriors to the priors, of z^c and of z^m over all its steps, each (W,).

    FHVAE's z₁ is one code a window, and its z₂ is compared with N(0, (1 + 0.5²) I), its prior over all sequences.
    """
    found = []
    for some in _windows(spectrum, model.config.frames):
        if isinstance(model, RWAE):
            inference = model.infer(some, of=moments(spectrum[None]).expand(len(some), -1, -1), sample=False)
            content = inference.content.standard_kl()
            motion = model.motion_prior(inference.latents.z_m).kl_of(inference.motion)
        else:
            inference = model.infer(some, sample=False)
            z_2 = inference.content
            prior = Gaussian(torch.zeros_like(z_2.mean), torch.full_like(z_2.std, (1 + SEGMENT_STD**2) ** 0.5))
            content, motion = z_2.kl(prior), inference.motion.standard_kl()
        found.append(torch.stack([content.sum(1), motion.sum(1)]))
    content_nats, motion_nats = torch.cat(found, 1)
    return content_nats, motion_nats


def log_spectral_distance(a: Float[Tensor, "N K"], b: Float[Tensor, "N K"], config: SpectrumConfig) -> float:
    """The mean over columns of the root mean square difference over bins, in dB."""
    return -config.floor_db * (a - b).square().mean(1).sqrt().mean().item()


def _windows(sequence: Float[Tensor, "N F"], length: int) -> Iterator[Float[Tensor, "W T F"]]:
    """Batches of consecutive windows, the last filled up as `rwae_core.recording` does, by going back and forth."""
    steps = torch.arange(-(-len(sequence) // length) * length, device=sequence.device)
    whole = torch.cat([sequence, sequence.flip(0)])[steps % (2 * len(sequence))]
    yield from whole.unflatten(0, (-1, length)).split(WINDOWS_AT_ONCE)
