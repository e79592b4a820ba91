"""Training FHVAE: the segment variational lower bound and the discriminative term (Hsu et al. 2017).

Shapes: B segments.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Int
from torch import Tensor, nn

from rwae_core.gaussian import Gaussian
from training import objectives
from training.algorithm import Algorithm, computing
from training.baselines.fhvae import FHVAE, SEGMENT_STD
from training.datasets import Dataset
from training.datasets.batch import Batch
from training.preset import Preset


class Hierarchical(Algorithm):
    """Encode, decode, and hold the codes to their priors, that of z₂ around the mean μ₂ of the segment's sequence.

    A sequence is what a dataset labels as one "utterance", numbered from 0; without that label each clip is its own.
    The table of μ₂, one row for each sequence of the training data, learns with the encoder, and starts as draws from
    p(μ₂). It says nothing of other sequences, so it is kept here, with what a run resumes from, and not in the model.
    """

    model: FHVAE
    segments: Int[Tensor, " sequences"]

    def __init__(self, model: FHVAE, chosen: Preset, data: Dataset) -> None:
        super().__init__()
        self.model = model
        self.chosen = chosen
        self.phases = (frozenset({"encoder", "decoder"}),)
        indices = torch.arange(len(data), device=data.device)
        segments = _sequences(indices, data.labels(indices)).bincount()
        self.register_buffer("segments", segments)
        self.sequence_means = nn.Embedding(len(segments), model.config.content_dim)

    def parts(self) -> dict[str, list[nn.Module]]:
        model = self.model
        return {
            "encoder": [model.content_posterior, model.motion_posterior, self.sequence_means],
            "decoder": [model.decoder],
        }

    @torch.no_grad()
    def start(self, batches: Callable[[], Batch], held_out: Callable[[], Batch], given: frozenset[str]) -> None:
        """Sets the mean and the deviation of each bin, in which the model sees and draws spectra."""
        del held_out
        if "decoder" in given:
            return
        deviation, mean = torch.std_mean(batches().clips.flatten(0, 1), 0)
        self.model.frame_mean.copy_(mean)
        # A bin that is silent in this batch is not silent in all.
        self.model.frame_std.copy_(deviation.clamp(min=0.01))

    def terms(
        self, phase: frozenset[str], batch: Batch, generator: torch.Generator, progress: float | Tensor
    ) -> dict[str, Tensor]:
        """What makes up the negative of the bound, and the discriminative term.

        `reconstruction` is −ln p(x | z₁, z₂), whatever the objective's cost; `motion_kl` that of z₁ to N(0, I);
        `content_kl` that of z₂ to N(μ₂, 0.5² I); `sequence_prior` and `discriminative` as in `training.objectives`,
        the latter of the mean of z₂, as in the paper and its code.
        """
        del phase, progress
        with computing(batch.clips.device, self.chosen):
            inference = self.model.infer(batch.clips, generator=generator)
            found = self.model.likelihood(inference.latents)
        sequences = _sequences(batch.indices, batch.labels)
        means = self.sequence_means(sequences)
        prior = Gaussian(means, torch.full_like(means, SEGMENT_STD))
        return {
            "reconstruction": objectives.negative_log_likelihood(found, batch.clips),
            "motion_kl": inference.motion.standard_kl().sum(1).mean(),
            "content_kl": inference.content.kl(prior).sum(1).mean(),
            "sequence_prior": objectives.sequence_prior(means, self.segments[sequences]),
            "discriminative": objectives.discriminative(
                inference.content.mean, self.sequence_means.weight, SEGMENT_STD, sequences
            ),
        }


def _sequences(indices: Int[Tensor, " B"], labels: dict[str, Int[Tensor, " B"]]) -> Int[Tensor, " B"]:
    """The sequence of each clip."""
    return labels.get("utterance", indices)
