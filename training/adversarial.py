"""Training MoCoGAN (Tulyakov et al. 2018): a discriminator of frames and one of clips against the generator.

Shapes: B clips, T frames of C×H×W with values in [0, 1], A actions; logits of t×h×w patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.gaussian import standard_normal
from rwae_core.latents import Latents
from rwae_core.precision import at_least_single
from training import views
from training.algorithm import Algorithm, computing, frozen
from training.baselines.mocogan import MoCoGAN, MoCoGANConfig
from training.batch_norm import BatchNorm
from training.datasets.batch import Batch
from training.objectives import Scalar, discriminator_loss, generator_loss
from training.preset import Preset

NOISE = 0.1
"""Deviation of the noise before each convolution of the discriminators: the authors train human actions with it."""


@dataclass(frozen=True)
class Verdict:
    """Logits of a discriminator: of "real" for each patch, and of Q(a | clip) where it has that head."""

    real: Float[Tensor, "B t h w"]
    action: Float[Tensor, "B A"]


class PatchDiscriminator(nn.Module):
    """Convolutions over time and space down to 4×4 patches a frame, with noise before each: D_I and D_V of the paper.

    D_I is the same network on clips of one frame, with convolutions that span one. Batches are normalised by their own
    statistics, and real and generated clips come in batches of their own. In time a convolution is padded, so that any
    length will do (the authors' four convolutions of 4 frames need 13).
    """

    def __init__(self, config: MoCoGANConfig, span: int, actions: int) -> None:
        super().__init__()
        self.actions = actions
        widths = (config.channels, *config.widths[:0:-1], 1 + actions)
        last = len(widths) - 2
        self.layers = nn.ModuleList()
        for layer, (before, after) in enumerate(pairwise(widths)):
            normalised = 0 < layer < last
            convolution = nn.Conv3d(
                before, after, (span, 4, 4), stride=(1, 2, 2), padding=(span // 2, 1, 1), bias=not normalised
            )
            norm = BatchNorm(after, track_running_stats=False) if normalised else nn.Identity()
            activation = nn.LeakyReLU(0.2) if layer < last else nn.Identity()
            self.layers.append(nn.Sequential(convolution, norm, activation))

    def forward(self, clip: Float[Tensor, "B T C H W"], generator: torch.Generator) -> Verdict:
        features = 2 * clip.movedim(2, 1) - 1
        for layer in self.layers:
            features = layer(features + NOISE * standard_normal(features.shape, generator, features))
        real, action = at_least_single(features).split((1, self.actions), dim=1)
        # Each patch has its say on the action.
        return Verdict(real.squeeze(1), action.mean((2, 3, 4)))


class Adversarial(Algorithm):
    """The discriminators on real and generated clips, then the generator against them.

    Q(a | clip) is a head of the video discriminator. It learns from generated clips, whose action is known, as in
    InfoGAN: no label of the data is used. The image discriminator sees one random frame of each clip.
    """

    model: MoCoGAN

    def __init__(self, model: MoCoGAN, chosen: Preset) -> None:
        super().__init__()
        self.model = model
        self.image_discriminator = PatchDiscriminator(model.config, span=1, actions=0)
        self.video_discriminator = PatchDiscriminator(model.config, span=3, actions=model.config.actions)
        self.chosen = chosen
        self.phases = (*[frozenset({"critic"})] * max(1, chosen.schedule.inner_steps), frozenset({"decoder"}))

    def parts(self) -> dict[str, list[nn.Module]]:
        return {"decoder": [self.model], "critic": [self.image_discriminator, self.video_discriminator]}

    def terms(
        self, phase: frozenset[str], batch: Batch, generator: torch.Generator, progress: float | Tensor
    ) -> dict[str, Tensor]:
        """What the discriminators or the generator minimise; of the batch, the generator uses the shape alone."""
        del progress
        with computing(batch.clips.device, self.chosen):
            if "critic" in phase:
                return self.critic_terms(batch.clips, generator)
            return self.generator_terms(batch.clips, generator)

    def critic_terms(self, clip: Float[Tensor, "B T C H W"], generator: torch.Generator) -> dict[str, Tensor]:
        """Telling real clips from generated ones, and the action of the generated ones."""
        with torch.no_grad():
            codes, generated = self.generated(clip, generator)
        video = self.video_discriminator(generated, generator)
        terms = {
            "image_critic": discriminator_loss(
                self.image_discriminator(one_frame(clip, generator), generator).real,
                self.image_discriminator(one_frame(generated, generator), generator).real,
            ),
            "video_critic": discriminator_loss(self.video_discriminator(clip, generator).real, video.real),
        }
        if codes.action is not None:
            terms["action_critic"] = action_information(video.action, codes.action)
        return terms

    def generator_terms(self, clip: Float[Tensor, "B T C H W"], generator: torch.Generator) -> dict[str, Tensor]:
        """Passing for real, and with an action that can be told."""
        codes, generated = self.generated(clip, generator)
        with frozen(self.image_discriminator), frozen(self.video_discriminator):
            image = self.image_discriminator(one_frame(generated, generator), generator)
            video = self.video_discriminator(generated, generator)
        terms = {"image_gan": generator_loss(image.real), "video_gan": generator_loss(video.real)}
        if codes.action is not None:
            terms["action_information"] = action_information(video.action, codes.action)
        return terms

    def generated(
        self, clip: Float[Tensor, "B T C H W"], generator: torch.Generator
    ) -> tuple[Latents, Float[Tensor, "B T C H W"]]:
        """As many clips of the generator as there are real ones, as long as they are, and their codes."""
        codes = self.model.sample(len(clip), clip.shape[1], generator)
        return codes, self.model.decode(codes)


def one_frame(clip: Float[Tensor, "B T C H W"], generator: torch.Generator) -> Float[Tensor, "B 1 C H W"]:
    """A random frame of each clip."""
    return views.at_steps(clip, views.random_steps(clip, 1, generator))


def action_information(logits: Float[Tensor, "B A"], action: Float[Tensor, "B A"]) -> Scalar:
    """−E ln Q(a | x̃), in nats; ln A minus it bounds the information I(a; x̃) from below (InfoGAN, eq. 5).

    Args:
        logits: Of Q(a | x̃).
        action: What a was, one-hot.
    """
    return functional.cross_entropy(logits, action)
