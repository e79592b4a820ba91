"""Procedural speech: voices that are a tilt of the spectrum, words that are peaks which move, and models that know.

What a model that knows both, or only one, must be found to do is known beforehand.
"""

from __future__ import annotations

from pathlib import Path

import soundfile
import torch
from torch import Tensor

from rwae_core.gaussian import Gaussian
from rwae_core.latents import Latents
from rwae_core.model import Inference
from rwae_core.speech import SpectrumConfig, synthesise
from training.baselines.fhvae import FHVAE, FHVAEConfig

CONFIG = SpectrumConfig()
COLUMNS = 200
"""Of every utterance, 2 s, and of the one window that it is encoded in."""


def smooth(generator: torch.Generator, rows: int, points: int) -> Tensor:
    """Random curves over frequency (rows, 200) with mean 0 and deviation 1."""
    curves = torch.nn.functional.interpolate(
        torch.randn(1, rows, points, generator=generator), 200, mode="linear", align_corners=True
    )[0]
    return (curves - curves.mean(1, keepdim=True)) / curves.std(1, keepdim=True)


def voice(speaker: int) -> Tensor:
    """A speaker's curve (200,), 6 dB about 0."""
    return 0.06 * smooth(torch.Generator().manual_seed(1000 + speaker), 1, 8)[0]


def words(seed: int) -> Tensor:
    """Sounds of 4 to 12 columns (200, 200), 12 dB about 0, whose mean over time is 0."""
    generator = torch.Generator().manual_seed(seed)
    sounds = smooth(generator, COLUMNS, 16)
    lengths = torch.randint(4, 13, (COLUMNS,), generator=generator)
    said = sounds.repeat_interleave(lengths, 0)[:COLUMNS]
    return 0.12 * (said - said.mean(0))


def utterance(speaker: int, seed: int) -> Tensor:
    """A wave (32000,) of a speaker's voice that says words nobody else says."""
    spectrum = (0.55 + voice(speaker) + words(seed))[None].clamp(0, 1)
    generator = torch.Generator().manual_seed(seed)
    return synthesise(spectrum, COLUMNS * CONFIG.hop, CONFIG, generator=generator, iterations=8)[0]


def record(folder: Path, speakers: int, utterances: int) -> Path:
    """LibriSpeech's test set in small."""
    for speaker in range(speakers):
        for number in range(utterances):
            path = folder / "test-other" / str(speaker + 1) / "1" / f"{speaker + 1}-1-{number:04}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = utterance(speaker, 100 * speaker + number)
            soundfile.write(path, (wave / wave.abs().max() / 1.1).numpy(), CONFIG.sample_rate)
    return folder


class Knowing(FHVAE):
    """z^c is the mean over time and z^m what differs from it, or with `copying` all in z^m and nothing in z^c."""

    def __init__(self, *, copying: bool = False) -> None:
        super().__init__(FHVAEConfig(frames=COLUMNS, bins=200, content_dim=200, motion_dim=200, hidden_dim=8))
        self.copying = copying

    def infer(self, clip: Tensor, *, generator: object = None, sample: bool = True) -> Inference:
        mean = clip.mean(1)
        content = torch.ones_like(mean) if self.copying else mean - mean.mean(1, keepdim=True)
        motion = clip if self.copying else clip - content[:, None]
        gaussians = (Gaussian(code, torch.ones_like(code)) for code in (content, motion.mean(1)))
        return Inference(*gaussians, Latents(content, motion))

    def decode(self, latents: Latents, steps: object = None) -> Tensor:
        content = 0 if self.copying else latents.z_c[:, None]
        return (content + latents.z_m).clamp(0, 1)
