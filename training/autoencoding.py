"""Training R-WAE (Algorithms 1 and 2), and DS-VAE, which has the same graph.

Shapes: B clips, T steps, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.latents import Latents
from rwae_core.model import RWAE, Inference
from rwae_core.moments import moments
from training import objectives, views
from training.algorithm import Algorithm, frozen
from training.critics import Critics
from training.datasets.batch import Batch
from training.preset import Objective, Preset
from training.processes import gathered

COSTS = {
    "squared_error": objectives.squared_error,
    "cross_entropy": objectives.cross_entropy,
    "spectral_error": objectives.spectral_error,
}


class Autoencoding(Algorithm):
    """Encode, decode, and hold the codes to their priors (eq. 9)."""

    model: RWAE

    def __init__(self, model: RWAE, chosen: Preset) -> None:
        super().__init__()
        self.model = model
        self.critics = Critics(model.config, chosen.objective)
        self.chosen = chosen
        inner = frozenset({"critic", "encoder"})
        joint = frozenset({"critic", "encoder", "decoder"})
        steps = chosen.schedule.inner_steps
        self.phases = (*[inner] * steps, frozenset({"decoder"})) if steps else (joint,)

    def parts(self) -> dict[str, list[nn.Module]]:
        model = self.model
        posteriors = [model.frame_encoder, model.content_posterior, model.motion_posterior, model.action_posterior]
        return {
            "encoder": [posterior for posterior in posteriors if posterior is not None],
            "decoder": [model.decoder, model.prior],
            "critic": [self.critics],
        }

    @torch.no_grad()
    def start(self, batch: Batch) -> None:
        """Sets the decoder's last bias so that an untrained model draws the mean colour (of each bin, for spectra).

        From grey, the first updates overshoot on dark frames and leave a sigmoid saturated at black, for good.
        """
        mean = batch.clips.movedim(2, -1).flatten(0, -2).mean(0)
        sigmoid = self.model.config.frame_networks.output == "sigmoid"
        self.model.decoder.output_bias.copy_(mean.logit(1e-3) if sigmoid else mean)

    def terms(
        self, phase: frozenset[str], batch: Batch, generator: torch.Generator, progress: float
    ) -> dict[str, Tensor]:
        """The terms of eq. 9 and, where the critics move, what they minimise on the same codes."""
        with frozen(self.critics):
            inference, terms = self.model_terms(batch, generator, progress)
        if "critic" in phase:
            terms |= self.critic_terms(inference.latents, generator)
        return terms

    def model_terms(
        self, batch: Batch, generator: torch.Generator, progress: float
    ) -> tuple[Inference, dict[str, Tensor]]:
        """One batch through inference and generation, and the unweighted terms of its objective."""
        model, critics = self.model, self.critics
        seen, objective = self.chosen.views, self.chosen.objective
        clip, recording = batch.clips, batch.recording
        if seen.new_voices and recording is not None:
            clip, recording = views.new_voice(clip, recording, generator)
        motion_clip, content_clip, of = clip, clip, None
        if seen.content_frames:
            content_clip = views.content_view(clip, seen.content_frames, generator)
        if recording is not None:
            content_windows, others = recording.tensor_split((seen.content_windows,), 1)
            content_clip, of = content_windows.flatten(1, 2), moments(others.flatten(1, 2))
        if seen.motion_colours:
            motion_clip = views.motion_view(clip, generator)
        if seen.motion_voices:
            motion_clip, of = views.motion_voice(clip, moments(clip) if of is None else of, generator)
        steps = views.random_steps(clip, seen.decoded_frames, generator) if seen.decoded_frames else None
        with torch.autocast(clip.device.type, torch.bfloat16, enabled=self.chosen.bfloat16):
            inference = model.infer(
                motion_clip,
                content_clip=content_clip,
                of=of,
                generator=generator,
                action_temperature=action_temperature(objective, progress),
            )
            codes = inference.latents
            prior = model.motion_prior(codes.z_m)
            found = model.decode(codes, steps)

        frames = clip if steps is None else views.at_steps(clip, steps)
        # A few frames of a clip stand for all of them.
        error = COSTS[objective.cost](found, frames) * (clip.shape[1] / frames.shape[1])
        terms = {
            "reconstruction": error,
            "motion_kl": objectives.motion_kl(inference.motion, prior),
            "content_kl": objectives.content_kl(inference.content),
        }
        if objective.motion_mmd:
            terms["motion_mmd"] = objectives.motion_mmd(gathered(codes.z_m), gathered(prior.sample(generator)))
        if critics.content is not None:
            prior_z_c = gathered(content_prior(codes, generator))
            terms["content_mmd"] = objectives.scaled_mmd(critics.content, gathered(codes.z_c), prior_z_c)
        if critics.discriminator is not None:
            prior_z_c = content_prior(codes, generator)
            terms["content_gan"] = objectives.jensen_shannon(critics.discriminator, codes.z_c, prior_z_c)
        if critics.dependence is not None:
            terms["dependence"] = objectives.dependence(critics.dependence, codes.z_c, codes.z_m)
        if inference.action is not None and inference.log_action is not None:
            terms["action_kl"] = objectives.action_kl(inference.action, inference.log_action)
        return inference, terms

    def critic_terms(self, codes: Latents, generator: torch.Generator) -> dict[str, Tensor]:
        """What the critics minimise on the codes of a batch, which they cannot change."""
        z_c, z_m = codes.z_c.detach(), codes.z_m.detach()
        terms = {}
        if self.critics.content is not None:
            prior_z_c = gathered(content_prior(codes, generator))
            terms["content_critic"] = -objectives.scaled_mmd(self.critics.content, gathered(z_c), prior_z_c)
        if (discriminator := self.critics.discriminator) is not None:
            prior_z_c = content_prior(codes, generator)
            mix = torch.rand(len(z_c), 1, generator=generator, device=z_c.device)
            penalty = objectives.gradient_penalty(discriminator, z_c, prior_z_c, mix)
            terms["discriminator"] = objectives.GRADIENT_WEIGHT * penalty - objectives.jensen_shannon(
                discriminator, z_c, prior_z_c
            )
        if self.critics.dependence is not None:
            z_c, z_m = gathered(z_c), gathered(z_m)
            terms["dependence_critic"] = objectives.dependence_critic_loss(self.critics.dependence, z_c, z_m)
        return terms


def content_prior(codes: Latents, generator: torch.Generator) -> Float[Tensor, "B Dc"]:
    """As many draws from P(z^c) = N(0, I) as there are codes."""
    return torch.randn(codes.z_c.shape, generator=generator, device=codes.z_c.device)


def action_temperature(objective: Objective, progress: float) -> float:
    """τ of the Gumbel-softmax when a share `progress` of the run is done."""
    first, last = objective.action_temperature
    return first * (last / first) ** progress
