"""Training R-WAE (Algorithms 1 and 2), and DS-VAE, which has the same graph.

Shapes: B clips, T steps, S of a content view, W other windows of a recording, R recordings, Dc content and Dm motion
dimensions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from rwae_core.gaussian import Gaussian
from rwae_core.latents import Latents
from rwae_core.model import RWAE, Inference
from rwae_core.moments import moments
from training import objectives, views
from training.algorithm import Algorithm, computing, frozen
from training.critics import Critics
from training.datasets.batch import Batch
from training.preset import Objective, Preset
from training.processes import gathered, share

COSTS = {
    "squared_error": objectives.squared_error,
    "cross_entropy": objectives.cross_entropy,
    "moving_error": objectives.moving_error,
    "spectral_error": objectives.spectral_error,
}

RECORDING_EVERY = 4
"""Of how many clips one has the motion of its whole recording looked at."""


CONTENT_CYCLED_EVERY, MOTION_CYCLED_EVERY, ACTION_CYCLED_EVERY = 4, 8, 4
"""Of how many clips one has its content drawn with other motion, a few frames, its motion with other content, all of
them, and its action by somebody else, likewise."""

PRIOR_DRAWN = 4
"""Draws of the prior that are asked for their action, for each clip of a batch."""

FITTED_A_COMPONENT, FITTED_A_STEP, HELD_OUT = 16, 64, 512
"""Of how many training clips for each component content's prior is fitted, and motion's, and on how many others the
former is tried."""


@dataclass(frozen=True)
class Seen:
    """A batch as it is learned from: what is to be decoded, and what each posterior sees of it.

    `of` are the moments that motion is freed of, and `others` the windows that they are from, where clips are cut from
    recordings.
    """

    clip: Float[Tensor, "B T *frame"]
    motion: Float[Tensor, "B T *seen"]
    content: Float[Tensor, "B S *frame"]
    of: Float[Tensor, "B 2 *seen"] | None
    others: Float[Tensor, "B W T *frame"] | None


Part = TypeVar("Part")


class Frames(NamedTuple):
    """Frames of clips, and the codes of these clips or those that they were drawn of."""

    frames: Float[Tensor, "B S C H W"]
    codes: Latents


class Autoencoding(Algorithm):
    """Encode, decode, and hold the codes to their priors (eq. 9)."""

    model: RWAE

    def __init__(self, model: RWAE, chosen: Preset) -> None:
        super().__init__()
        self.model = model
        self.critics = Critics(model.config, chosen.objective)
        self.chosen = chosen
        inner = frozenset({"critic", "encoder", "action"})
        steps = chosen.schedule.inner_steps
        learns = frozenset(chosen.schedule.learns)
        outer = frozenset({"decoder"}) if steps else learns
        if outer & {"decoder", "prior"}:
            outer |= {"prior"}
            if chosen.objective.weights(1.0).keys() & {"content_kl", "content_mmd", "content_gan"}:
                outer |= {"content_prior"}  # without any of these it rests where it is
        self.phases = (*[inner] * steps, outer)

    def parts(self) -> dict[str, list[nn.Module]]:
        model = self.model
        return {
            "encoder": [model.frame_encoder, model.content_posterior, model.motion_posterior],
            "action": [] if model.action_posterior is None else [model.action_posterior],
            "decoder": [model.decoder],
            "prior": [model.prior],
            "content_prior": [model.content_prior],
            "critic": [self.critics],
        }

    @torch.no_grad()
    def start(self, batches: Callable[[], Batch], held_out: Callable[[], Batch], given: frozenset[str]) -> None:
        """Sets the decoder's last bias so that an untrained model draws the mean colour (of each bin, for spectra).

        From grey, the first updates overshoot on dark frames and leave a sigmoid saturated at black, for good.
        What names the actions of codes at rest begins anew: one that is certain of others does not let go of them.
        New priors, or those of codes at rest, are fitted to what trained posteriors see in clips, content's and a
        residual one of motion: components that begin elsewhere mostly stay there.
        """
        model = self.model
        if "decoder" not in given:
            mean = batches().clips.movedim(2, -1).flatten(0, -2).mean(0)
            sigmoid = model.config.frame_networks.output == "sigmoid"
            model.decoder.output_bias.copy_(mean.logit(1e-3) if sigmoid else mean)
        learns = frozenset[str]().union(*self.phases)
        if model.action_posterior is not None and "action" in learns and "encoder" not in learns:
            model.action_posterior.begin()
        at_rest = "prior" in learns and "encoder" not in learns
        prior = model.content_prior
        if prior.components > 1 and "content_posterior" in given and ("content_prior" not in given or at_rest):
            codes, _ = self._codes(batches, FITTED_A_COMPONENT * prior.components)
            prior.fit(codes, self._codes(held_out, HELD_OUT)[0])
        if model.prior.residual and "motion_posterior" in given and ("prior" not in given or at_rest):
            model.prior.fit(self._codes(batches, FITTED_A_STEP * model.config.prior_components)[1])

    def _codes(self, batches: Callable[[], Batch], least: int) -> tuple[Gaussian, Gaussian]:
        """Posteriors of z^c and z^m of whole batches, of at least so many clips."""
        seen: list[Inference] = []
        while sum(len(each.latents.z_c) for each in seen) < least:
            seen.append(self.model.infer(batches().clips, sample=False))
        content, motion = [each.content for each in seen], [each.motion for each in seen]
        return _together(content), _together(motion)

    def terms(
        self, phase: frozenset[str], batch: Batch, generator: torch.Generator, progress: float | Tensor
    ) -> dict[str, Tensor]:
        """The terms of eq. 9 and, where the critics move, what they minimise on the same codes.

        Content's critic climbs the term that the codes descend, so it needs none of its own, and rests with them while
        that has no weight.
        """
        others = nn.ModuleList(critic for name, critic in self.critics.named_children() if name != "content")
        with frozen(others):
            latents, shown, terms = self.model_terms(batch, generator, progress)
        if "critic" in phase:
            terms |= self.critic_terms(latents, shown, generator)
        return terms

    def seen(self, batch: Batch, generator: torch.Generator) -> Seen:
        """What the views of the preset leave of a batch for each posterior."""
        chosen = self.chosen.views
        clip, recording = batch.clips, batch.recording
        if chosen.new_voices and recording is not None:
            clip, recording = views.new_voice(clip, recording, generator)
        elsewhere = batch.look_alikes

        def some(share: float) -> Tensor:
            return torch.rand(len(clip), *[1] * (clip.ndim - 1), generator=generator, device=clip.device) < share

        if chosen.new_clips:
            filmed = clip if elsewhere is None else torch.cat([clip, elsewhere], 1)
            new = torch.where(some(chosen.new_clips), views.warped(filmed, generator), filmed)
            clip, elsewhere = new[:, : clip.shape[1]], None if elsewhere is None else new[:, clip.shape[1] :]
        motion, content, others, of = clip, clip, None, None
        if elsewhere is not None:
            content = torch.where(some(chosen.content_elsewhere), elsewhere, clip)
        if chosen.content_frames:
            content = views.content_view(content, chosen.content_frames, generator, mirrored=chosen.content_mirrored)
        if chosen.content_windows and recording is not None:
            content_windows, others = recording.tensor_split((chosen.content_windows,), 1)
            content = content_windows.flatten(1, 2)
            of = moments(others.flatten(1, 2))
        if chosen.motion_colours:
            motion = views.motion_view(self.model.coarse(clip), generator, lit=chosen.motion_light)
        if chosen.motion_voices:
            motion, of = views.motion_voice(motion, moments(motion) if of is None else of, generator)
        return Seen(clip, motion, content, of, others)

    def model_terms(
        self, batch: Batch, generator: torch.Generator, progress: float | Tensor
    ) -> tuple[Latents, tuple[Frames, Frames], dict[str, Tensor]]:
        """One batch through inference and generation: codes, frames filmed and drawn, the unweighted terms."""
        model, critics, objective, chosen = self.model, self.critics, self.chosen.objective, self.chosen.views
        seen = self.seen(batch, generator)
        clip, decoded, depth, mean = seen.clip, chosen.decoded_frames, chosen.decoded_depth, None
        steps = views.random_steps(clip, decoded, generator) if decoded else None
        if seen.others is not None and (objective.swap or depth > 1):
            mean = seen.others.flatten(1, 2).mean(1, keepdim=True)
            clip = views.deepened(clip, mean, depth)
        with computing(clip.device, self.chosen):
            inference = model.infer(
                seen.motion,
                content_clip=seen.content,
                of=seen.of,
                generator=generator,
                action_temperature=action_temperature(objective, progress),
            )
            latents = inference.latents
            prior = model.motion_prior(latents.z_m, latents.action)
            given = self.in_use(seen) if chosen.decoded_means else latents
            found = model.decode(given, steps)
            recorded = self.recorded_motion(seen) if objective.recording_correlation else None
            cycles = self.cycles(latents, generator)
            companions = self.companions(batch, generator) if objective.action_agreement else None
            swapped = self.swapped(given, steps) if objective.swap else None

        frames = clip if steps is None else views.at_steps(clip, steps)
        filmed, drawn = Frames(frames, latents), Frames(found, latents)
        if critics.frames is not None:
            with computing(clip.device, self.chosen):
                drawn = self.drawn(drawn, steps, generator)
                frame_gan = objectives.generator_loss(critics.frames(drawn.frames, at_rest(drawn.codes)))
        # A few frames of a clip stand for all of them.
        error = COSTS[objective.cost](found, frames) * (clip.shape[1] / frames.shape[1])
        terms = {
            "reconstruction": error,
            "motion_kl": objectives.motion_kl(inference.motion, prior),
            "content_kl": objectives.content_kl(inference.content, model.content_prior(latents.z_c)),
        }
        if objective.motion_mmd:
            terms["motion_mmd"] = objectives.motion_mmd(gathered(latents.z_m), gathered(prior.sample(generator)))
        if critics.content is not None:
            prior_z_c = gathered(self.content_draws(latents, generator))
            terms["content_mmd"] = objectives.scaled_mmd(critics.content, gathered(latents.z_c), prior_z_c)
        if critics.discriminator is not None:
            prior_z_c = self.content_draws(latents, generator)
            terms["content_gan"] = objectives.jensen_shannon(critics.discriminator, latents.z_c, prior_z_c)
        if critics.dependence is not None:
            terms["dependence"] = objectives.dependence(critics.dependence, latents.z_c, latents.z_m)
        if critics.frames is not None:
            terms["frame_gan"] = frame_gan
        if recorded is not None:
            terms["recording_correlation"] = objectives.recording_correlation(gathered(recorded))
        if swapped is not None and mean is not None:
            intended = frames - mean + of_other_clips(mean)
            terms["swap"] = COSTS[objective.cost](swapped, intended) * (clip.shape[1] / frames.shape[1])
        terms |= cycles
        if inference.action is not None and inference.log_action is not None:
            terms["action_kl"] = objectives.action_kl(inference.action, inference.log_action)
        if companions is not None and inference.action is not None:
            probabilities = gathered(inference.action.probabilities)
            terms["action_agreement"] = objectives.action_agreement(probabilities, gathered(companions))
        return latents, (filmed, drawn), terms

    def content_draws(self, latents: Latents, generator: torch.Generator) -> Float[Tensor, "B Dc"]:
        """As many draws from P(z^c) as there are codes."""
        prior, shape = self.model.content_prior, latents.z_c.shape
        normal = torch.randn(shape, generator=generator, device=latents.z_c.device)
        return prior(normal).draw(prior.noise(normal, generator))

    def in_use(self, seen: Seen) -> Latents:
        """Codes as they are used: the posteriors' means, z^c of all that is seen of the recording."""
        heard = seen.content if seen.others is None else torch.cat([seen.content, seen.others.flatten(1, 2)], 1)
        return self.model.infer(seen.motion, content_clip=heard, of=seen.of, sample=False).latents

    def swapped(self, codes: Latents, steps: Int[Tensor, "B S"] | None) -> Float[Tensor, "B S *frame"]:
        """Every clip with the content of another one."""
        return self.model.decode(Latents(of_other_clips(codes.z_c), codes.z_m, codes.action), steps)

    def cycles(self, latents: Latents, generator: torch.Generator) -> dict[str, Tensor]:
        """The terms of the objective that see drawn clips and codes anew."""
        known = (self.content_cycle, self.motion_cycle, self.action_cycle, self.drawn_action)
        return {
            each.__name__: each(latents, generator) for each in known if getattr(self.chosen.objective, each.__name__)
        }

    def content_cycle(self, latents: Latents, generator: torch.Generator) -> Tensor:
        """Whether every fourth clip's content is still seen when it moves as the prior has it; the decoder alone pays.

        What the prior draws is not quite what the decoder has met in clips, and content must not change with it.
        """
        model = self.model
        z_c = latents.z_c[::CONTENT_CYCLED_EVERY].detach()
        with torch.no_grad():
            drawn = model.sample(len(z_c), latents.z_m.shape[1], generator, z_c=z_c)
        steps = views.random_steps(drawn.z_m, self.chosen.views.content_frames, generator)
        with frozen(model.content_posterior):
            seen: Gaussian = model.content_posterior(model.decode(drawn, steps).clamp(0, 1))
        return objectives.cycle(seen, z_c)

    def motion_cycle(self, latents: Latents, generator: torch.Generator) -> Tensor:
        """Whether every eighth clip's motion is still seen when the prior says what moves; the decoder alone pays."""
        model = self.model
        z_m = latents.z_m[::MOTION_CYCLED_EVERY].detach()
        with torch.no_grad():
            drawn = model.sample(len(z_m), z_m.shape[1], generator, z_m=z_m)
        with frozen(model.frame_encoder), frozen(model.motion_posterior):
            seen = model.motion_seen(model.decode(drawn).clamp(0, 1), z_m)
        return objectives.cycle(seen, z_m)

    def action_cycle(self, latents: Latents, generator: torch.Generator) -> Tensor:
        """Whether every fourth clip's action is still seen when somebody else shows it; the decoder alone pays.

        The precise codes of a motion are another's as soon as a limb is longer; what is done with it is not.
        """
        del generator
        model, some = self.model, slice(None, None, ACTION_CYCLED_EVERY)
        z_m, action = latents.z_m[some].detach(), present(latents.action)[some].detach()
        swapped = model.decode(Latents(of_other_clips(latents.z_c)[some].detach(), z_m, action))
        with frozen(model.frame_encoder), frozen(model.motion_posterior), frozen(present(model.action_posterior)):
            seen = model.encode_motion(swapped.clamp(0, 1)).action
        return objectives.action_cycle(present(seen), action)

    def drawn_action(self, latents: Latents, generator: torch.Generator) -> Tensor:
        """Whether what the prior draws for an action is seen to be of it, four draws a clip; the prior alone pays."""
        clips, steps = latents.z_m.shape[:2]
        drawn = self.model.sample(PRIOR_DRAWN * clips, steps, generator)
        with frozen(posterior := present(self.model.action_posterior)):
            seen = posterior(drawn.z_m).softmax(-1)
        return objectives.action_cycle(seen, present(drawn.action))

    def drawn(self, found: Frames, steps: Int[Tensor, "B S"] | None, generator: torch.Generator) -> Frames:
        """What is decoded, half as many swaps and half as many clips of the priors; of these the decoder alone pays."""
        model, some = self.model, slice(None, None, 2)
        with torch.no_grad():
            z_c, z_m, action = found.codes.z_c, found.codes.z_m, found.codes.action
            swapped = Latents(of_other_clips(z_c)[some], z_m[some], None if action is None else action[some])
            new = model.sample(len(swapped.z_c), z_m.shape[1], generator)
            codes = together(swapped, new)
        at = None if steps is None else steps[some].repeat(2, 1)
        return Frames(torch.cat([found.frames, model.decode(codes, at)]), together(found.codes, codes))

    def companions(self, batch: Batch, generator: torch.Generator) -> Float[Tensor, "B W A"] | None:
        """What is said of the action of clips that probably show the same, seen by the same views drawn anew."""
        if batch.recording is None:
            return None
        count, windows = batch.recording.shape[:2]
        others = Batch(batch.indices.repeat_interleave(windows), batch.recording.flatten(0, 1), {})
        action = self.model.encode_motion(self.seen(others, generator).motion).action
        return None if action is None else action.unflatten(0, (count, windows))

    def recorded_motion(self, seen: Seen) -> Float[Tensor, "R 2 F"] | None:
        """What z^m says on the whole in each half of the other windows of a recording, each half by its own moments.

        Of every fourth clip's recording: it costs three times a clip.
        """
        if seen.others is None:
            return None
        halves = seen.others[::RECORDING_EVERY].unflatten(1, (2, -1))
        windows = halves.shape[2]
        of = moments(halves.flatten(0, 1).flatten(1, 2)).repeat_interleave(windows, 0)
        inference = self.model.infer(halves.flatten(0, 2), of=of, sample=False)
        return objectives.over_time(inference.motion.mean.unflatten(0, (-1, 2, windows)))

    def critic_terms(
        self, latents: Latents, shown: tuple[Frames, Frames], generator: torch.Generator
    ) -> dict[str, Tensor]:
        """What the critics minimise on the codes of a batch and on frames filmed and drawn, which they leave."""
        z_c, z_m = latents.z_c.detach(), latents.z_m.detach()
        terms = {}
        if (discriminator := self.critics.discriminator) is not None:
            prior_z_c = self.content_draws(latents, generator).detach()
            mix = torch.rand(len(z_c), 1, generator=generator, device=z_c.device)
            penalty = objectives.gradient_penalty(discriminator, z_c, prior_z_c, mix)
            terms["discriminator"] = objectives.GRADIENT_WEIGHT * penalty - objectives.jensen_shannon(
                discriminator, z_c, prior_z_c
            )
        if self.critics.dependence is not None:
            terms["dependence_critic"] = objectives.dependence_critic_loss(
                self.critics.dependence, gathered(z_c), gathered(z_m)
            )
        if (frames := self.critics.frames) is not None:
            with computing(z_c.device, self.chosen):
                real, generated = (frames(each.frames.detach(), at_rest(each.codes)) for each in shown)
            terms["frame_critic"] = objectives.discriminator_loss(real, generated)
        return terms


def present(part: Part | None) -> Part:
    """What models with actions have; the preset of one without cannot ask for it."""
    if part is None:
        raise ValueError("only models with actions have this")
    return part


def _together(some: list[Gaussian]) -> Gaussian:
    return Gaussian(torch.cat([each.mean for each in some]), torch.cat([each.std for each in some]))


def together(some: Latents, others: Latents) -> Latents:
    """The codes of both."""
    action = None
    if some.action is not None and others.action is not None:
        action = torch.cat([some.action, others.action])
    return Latents(torch.cat([some.z_c, others.z_c]), torch.cat([some.z_m, others.z_m]), action)


def at_rest(codes: Latents) -> Latents:
    """The same codes, from which no gradient goes back: a discriminator's word on frames should not move them."""
    return Latents(codes.z_c.detach(), codes.z_m.detach(), None if codes.action is None else codes.action.detach())


def of_other_clips(rows: Float[Tensor, "B ..."]) -> Float[Tensor, "B ..."]:
    """What is each clip's, given to the next."""
    return share(gathered(rows).roll(1, 0))


def action_temperature(objective: Objective, progress: float | Tensor) -> float | Tensor:
    """τ of the Gumbel-softmax when a share `progress` of the run is done."""
    first, last = objective.action_temperature
    return first * (last / first) ** progress
