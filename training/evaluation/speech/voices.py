"""A judge of voices that knows no model: long-term statistics of mel cepstra, compared with references.

Shapes: S speakers, n samples, D cepstral coefficients.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.evaluation.speech.cepstrum import loud, mel_cepstra
from training.evaluation.speech.spoken import Spoken

PART = 50
"""Columns of half a second: how much a voice's statistics differ from one to the next is what does not count."""
SHRINKAGE = 0.1
REQUIRED = 95.0
"""Right so often on real speech, in %, before it may judge."""


class Voices:
    """How near a wave is to each speaker, by recordings of theirs that are not asked about.

    A wave is summarised by mean and standard deviation of its mel cepstra over the columns that are speech. The
    distance from a speaker is that of these statistics from those of all references of theirs, measured in the
    covariance of parts of half a second within speakers (Hatch et al. 2006, within-class covariance normalisation), to
    which a tenth of its mean variance is added. It learns nothing else, neither from a model nor from what one makes.

    Args:
        references: Utterances of each speaker. Their numbers are 0 … S − 1, and each has one at least.

    Raises:
        ValueError: a speaker has no reference.
    """

    def __init__(self, references: Sequence[Spoken]) -> None:
        speakers = [spoken.speaker for spoken in references]
        count = max(speakers) + 1
        if set(speakers) != set(range(count)):
            raise ValueError(f"speakers {sorted(set(range(count)) - set(speakers))} have no reference; each needs one")
        columns = [_speech(spoken.wave) for spoken in references]
        own = [torch.cat([c for c, s in zip(columns, speakers, strict=True) if s == n]) for n in range(count)]
        self.means: Float[Tensor, "S 2*D"] = torch.stack([_statistics(each) for each in own])
        strays = []
        for each in own:
            parts = torch.stack([_statistics(part) for part in each.tensor_split(max(1, len(each) // PART))])
            strays.append(parts - parts.mean(0))
        stray = torch.cat(strays)
        covariance = stray.T @ stray / len(stray)
        ridge = max(SHRINKAGE * covariance.diagonal().mean().item(), 1e-6)
        whole = covariance + ridge * torch.eye(len(covariance), dtype=stray.dtype, device=stray.device)
        self._precision = torch.linalg.inv(whole)

    def distances(self, wave: Float[Tensor, " n"]) -> Float[Tensor, " S"]:
        """Squared Mahalanobis distances from each speaker."""
        apart = _statistics(_speech(wave)) - self.means
        return ((apart @ self._precision) * apart).sum(1)

    def nearer(self, wave: Float[Tensor, " n"], one: int, other: int) -> bool:
        """Whether it sounds more like speaker `one` than like speaker `other`."""
        distances = self.distances(wave)
        return bool(distances[one] < distances[other])

    def accuracy(self, asked: Sequence[Spoken]) -> float:
        """How often real utterances are nearer to their speaker than to another one, in %, over all other speakers."""
        right: list[Tensor] = []
        for spoken in asked:
            distances = self.distances(spoken.wave)
            others = torch.arange(len(distances), device=distances.device) != spoken.speaker
            right.append(distances[spoken.speaker] < distances[others])
        return 100 * torch.cat(right).double().mean().item()


def pairs(
    speakers: Int[Tensor, " U"], available: Int[Tensor, " L"], count: int, generator: torch.Generator
) -> list[tuple[int, int]]:
    """Different ordered pairs of available utterances by different speakers, at random: (content, motion).

    All there are, in random order, where they are fewer than `count`.
    """
    speakers, available = speakers.cpu(), available.cpu()
    content, motion = torch.cartesian_prod(available, available).unbind(1)
    different = (speakers[content] != speakers[motion]).nonzero()[:, 0]
    chosen = different[torch.randperm(len(different), generator=generator)[:count]]
    return list(zip(content[chosen].tolist(), motion[chosen].tolist(), strict=True))


def _speech(wave: Float[Tensor, " n"]) -> Float[Tensor, "N D"]:
    return mel_cepstra(wave)[loud(wave)].double()


def _statistics(columns: Float[Tensor, "N D"]) -> Float[Tensor, " 2*D"]:
    return torch.cat([columns.mean(0), columns.std(0, correction=0)])
