"""The disentangled recurrent Wasserstein autoencoder (Han et al., ICLR 2021).

Shapes: B clips, T frames of any one shape with values in [0, 1], Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.action import ActionPosterior
from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.content import GlimpseContent, PatchContent, PooledContent, RecurrentContent
from rwae_core.decoder import Decoder, ModulatedDecoder
from rwae_core.errors import ShapeError
from rwae_core.frames import frame_encoder
from rwae_core.frames.simple import SimpleEncoder
from rwae_core.gaussian import Gaussian, Generators, standard_normal
from rwae_core.gumbel import GumbelSoftmax
from rwae_core.latents import Latents, check_request, even_actions
from rwae_core.mixture import ContentPrior, Mixture
from rwae_core.moments import contrast, moments, standardised
from rwae_core.motion import MotionPosterior, RecurrentPrior, Rollout, State
from rwae_core.placed import PlacedDecoder
from rwae_core.prepared import PreparedDecoder
from rwae_core.prepared_prior import PreparedPrior


@dataclass(frozen=True)
class Inference:
    """What the inference model says of a batch of clips, with the draw that was made on the way.

    `action` and the logarithm of its draw are there in weakly supervised models.
    """

    content: Gaussian
    motion: Gaussian
    latents: Latents
    action: GumbelSoftmax | None = None
    log_action: Float[Tensor, "B A"] | None = None


class MotionCodes(NamedTuple):
    """What of a clip's codes says what happens."""

    z_m: Float[Tensor, "B T Dm"]
    action: Float[Tensor, "B A"] | None


class RWAE(nn.Module):
    """Encoder, recurrent prior and decoder of R-WAE (eqs. 4 and 5).

    `encode`, `decode`, `swap` and `generate` are what users call; `infer` and `motion_prior` are what training needs;
    `sample_static`, `roll_out` and `decode_on` make clips part by part, that may go on for ever.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        networks = config.frame_networks
        self.frame_encoder = frame_encoder(networks, config.hidden_dim)
        posteriors = {
            "recurrent": RecurrentContent,
            "patches": PatchContent,
            "glimpse": GlimpseContent,
            "pooled": PooledContent,
        }
        self.content_posterior: nn.Module = posteriors[config.content_posterior](config)
        self.motion_posterior: nn.Module = MotionPosterior(config)
        self.action_posterior = ActionPosterior(config) if config.actions else None
        self.prior = RecurrentPrior(config)
        self.content_prior = ContentPrior(config)
        self.decoder = _decoder(config)

    def infer(
        self,
        clip: Float[Tensor, "B T *frame"],
        *,
        content_clip: Float[Tensor, "B S *content"] | None = None,
        of: Float[Tensor, "B 2 *frame"] | None = None,
        generator: Generators | None = None,
        sample: bool = True,
        action_temperature: float | Tensor = 1.0,
    ) -> Inference:
        """Q_φ(z^c, z^m_{1:T} | x_{1:T}) of eq. 5, sampled, or followed along its means with `sample=False`.

        In weakly supervised models then q_φ(a | z^m_{1:T}): a draw of the Gumbel-softmax, or its probabilities.

        Args:
            clip: What the motion posterior sees, values in [0, 1]; beside a content clip it may be `coarse`.
            content_clip: What the content posterior sees; `clip` where absent.
            of: `moments` of the recording that each clip is from, of which a standardised motion input is freed;
                those of what the content posterior sees where absent.
            generator: Source of the draws.
            sample: Whether the codes are draws or the posterior's means.
            action_temperature: τ of the Gumbel-softmax.

        Raises:
            ShapeError: frames of another shape than the configuration's, or no frame.
        """
        seen = clip if content_clip is None else content_clip
        self._check(seen)
        self._check(clip, coarse=content_clip is not None)
        if of is None and self.config.motion_input == "standardised":
            of = moments(seen)
        features = self._motion_features(clip, of)
        content = self._content(seen, features if seen is clip and self.config.motion_input == "frames" else None)
        z_c = content.sample(generator) if sample else content.mean

        shape = (*clip.shape[:2], self.config.motion_dim)
        motion, z_m = self.infer_motion(features, z_c, standard_normal(shape, generator, z_c) if sample else None)
        if self.action_posterior is None:
            return Inference(content, motion, Latents(z_c, z_m))
        action = GumbelSoftmax(self.action_posterior(z_m), action_temperature)
        log_action = action.log_sample(generator) if sample else functional.log_softmax(action.logits, -1)
        return Inference(content, motion, Latents(z_c, z_m, log_action.exp()), action, log_action)

    def coarse(self, clip: Float[Tensor, "B T *frame"]) -> Float[Tensor, "B T *coarse"]:
        """The clip as coarse as the motion posterior sees it: what views do to it costs less than on all pixels."""
        if self.config.motion_input != "frames" or not isinstance(self.frame_encoder, SimpleEncoder):
            return clip  # measured at full resolution
        return self.frame_encoder.averaged(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])

    def infer_motion(
        self, features: Float[Tensor, "B T F"], z_c: Float[Tensor, "B Dc"], noise: Float[Tensor, "B T Dm"] | None
    ) -> tuple[Gaussian, Float[Tensor, "B T Dm"]]:
        """Q_φ(z^m_t | z^m_{<t}, x_t) at every step, and the draw that `noise` makes of it (without: its means)."""
        del z_c  # DS-VAE's posterior looks at it
        found: tuple[Gaussian, Tensor] = self.motion_posterior(features, noise)
        return found

    def motion_seen(self, clip: Float[Tensor, "B T *frame"], z_m: Float[Tensor, "B T Dm"]) -> Gaussian:
        """Q_φ(z^m_t | z^m_{<t}, x_t) at every step of given histories, of clips that are whole recordings."""
        return cast("MotionPosterior", self.motion_posterior).along(self._motion_features(clip), z_m)

    def motion_prior(
        self, z_m: Float[Tensor, "B T Dm"], action: Float[Tensor, "B A"] | None = None
    ) -> Gaussian | Mixture:
        """P_ψ(z^m_t | z^m_{<t}) at every step of given histories, as one distribution of shape (B, T, Dm).

        Args:
            z_m: The histories.
            action: What a prior is told that is told the action.
        """
        return self.prior.along(z_m, action)

    def encode(self, clip: Float[Tensor, "B T *frame"], generator: Generators | None = None) -> Latents:
        """Codes of clips: posterior means, or a draw from the posterior where a generator is given."""
        return self.infer(clip, generator=generator, sample=generator is not None).latents

    def encode_content(self, clip: Float[Tensor, "B T *frame"]) -> Float[Tensor, "B Dc"]:
        """The z^c that `encode` gives, and no more work than that takes. Raises ShapeError as `infer`."""
        self._check(clip)
        return self._content(clip).mean

    def encode_motion(self, clip: Float[Tensor, "B T *frame"]) -> MotionCodes:
        """The z^m and the action that `encode` gives, likewise."""
        if not isinstance(self.motion_posterior, MotionPosterior):  # another may look at z^c
            codes = self.encode(clip)
            return MotionCodes(codes.z_m, codes.action)
        self._check(clip, coarse=True)
        features = self._motion_features(clip)
        _, z_m = self.infer_motion(features, features.new_zeros(len(clip), self.config.content_dim), None)
        return MotionCodes(z_m, None if self.action_posterior is None else self.action_posterior(z_m).softmax(-1))

    def decode(self, latents: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S *frame"]:
        """Clips of codes, x_t = G(z^c, z^m_t, a), values in [0, 1].

        Args:
            latents: Codes of whole clips.
            steps: Which frames of each clip to draw; all where absent.

        Raises:
            ShapeError: codes of other dimensions than the configuration's, or no step.
        """
        latents.check(self.config.content_dim, self.config.motion_dim, self.config.actions)
        return self.decoder(latents, steps)

    def swap(
        self, content: Float[Tensor, "B S *frame"], motion: Float[Tensor, "B T *frame"]
    ) -> Float[Tensor, "B T *frame"]:
        """The content of one clip with the motion of another: z^c of `content` decoded with z^m of `motion`."""
        moved = self.encode_motion(motion)
        return self.decode(Latents(self.encode_content(content), moved.z_m, moved.action))

    def sample(
        self,
        n: int,
        frames: int,
        generator: Generators | None = None,
        *,
        temperature: float = 1.0,
        z_c: Float[Tensor, "B Dc"] | None = None,
        z_m: Float[Tensor, "B S Dm"] | None = None,
        action: Float[Tensor, "B A"] | None = None,
    ) -> Latents:
        """Codes from the priors: z^c of P(z^c), z^m rolled out of P_ψ, both with their deviations scaled by τ.

        In weakly supervised models the action is one of A, all alike.

        Args:
            n: Clips.
            frames: Steps of each.
            generator: One for the batch, or one for each clip; each clip draws z^c and the action (where the model has
                one), then z^m step by step, whether or not they are given: fixing a code does not change the others,
                and a longer clip begins as a shorter one.
            temperature: τ, at least 0; 1 is the prior itself.
            z_c: Content to keep.
            z_m: Motion to keep. Where it is shorter than `frames`, the prior continues it.
            action: Actions to keep, as one-hot vectors or probabilities.

        Raises:
            ShapeError: fewer than one clip or frame, or codes given that are not n.
        """
        check_request(n, frames, z_c=z_c, z_m=z_m, action=action)
        z_c, action = self.sample_static(n, generator, temperature=temperature, z_c=z_c, action=action)
        noise = temperature * self.prior.noise(n, frames, generator, z_c)
        if z_m is not None and z_m.shape[1] >= frames:
            return Latents(z_c, z_m[:, :frames], action)
        return Latents(z_c, self.roll_out(noise, self.prior.begin(z_c, action), given=z_m)[0], action)

    def sample_static(
        self,
        n: int,
        generator: Generators | None = None,
        *,
        temperature: float = 1.0,
        z_c: Float[Tensor, "B Dc"] | None = None,
        action: Float[Tensor, "B A"] | None = None,
    ) -> tuple[Float[Tensor, "B Dc"], Float[Tensor, "B A"] | None]:
        """The codes that do not change over time, z^c and the action, as `sample` draws them before any motion.

        Raises:
            ShapeError: fewer than one clip, or codes given that are not n.
        """
        check_request(n, 1, z_c=z_c, action=action)
        actions, drawn = self.config.actions, [self.config.content_dim, min(self.config.actions, 1)]
        noise = standard_normal((n, sum(drawn)), generator, next(self.parameters()))
        normal, action_noise = noise.split(drawn, 1)
        content_noise = self.content_prior.noise(normal, generator)
        if z_c is None:
            z_c = self.content_prior(normal).draw(temperature * content_noise)
        if actions and action is None:
            action = even_actions(action_noise[:, 0], actions)
        return z_c, action

    def roll_out(
        self,
        noise: Float[Tensor, "B T E"],
        after: Rollout,
        *,
        given: Float[Tensor, "B S Dm"] | None = None,
    ) -> tuple[Float[Tensor, "B T Dm"], Rollout]:
        """z^m_t at T steps of the prior P_ψ (eq. 4), and where the roll-out then stands.

        Args:
            noise: Of `prior.noise`, scaled by the temperature.
            after: Where an earlier part ended, or `prior.begin`.
            given: Codes that the first steps have instead; S ≤ T.

        Raises:
            ShapeError: no step.
        """
        if not noise.shape[1]:
            raise ShapeError("a roll-out has at least one step")
        if given is None or not given.shape[1]:
            return self.prior.roll_out(noise, after)
        followed = self.prior.follow(given, after)
        if given.shape[1] == noise.shape[1]:
            return given, followed
        more, last = self.prior.roll_out(noise[:, given.shape[1] :], followed)
        return torch.cat([given, more], 1), last

    def decode_on(
        self, latents: Latents, after: State | None = None
    ) -> tuple[Float[Tensor, "B T *frame"], State | None]:
        """The frames of the next part of a clip, and the decoder's memory after it: None where it has none.

        Args:
            latents: Codes of the part.
            after: The memory after the part before; None for the clip's beginning.

        Raises:
            ShapeError: as for `decode`.
        """
        latents.check(self.config.content_dim, self.config.motion_dim, self.config.actions)
        return self.decoder.resume(latents, after)

    def generate(
        self, n: int, frames: int, generator: Generators | None = None, *, temperature: float = 1.0
    ) -> Float[Tensor, "B T *frame"]:
        """New clips: codes from the priors, decoded."""
        return self.decode(self.sample(n, frames, generator, temperature=temperature))

    def prepare(self, dtype: torch.dtype = torch.float32) -> RWAE:
        """Lays decoder and prior out for a processor that draws in `dtype`; the model can then not be trained or saved.

        Codes are what they were to rounding, and so are frames of decoders that are not modulated.
        """
        self.prior = PreparedPrior(self.prior)
        if isinstance(self.decoder, ModulatedDecoder):
            self.decoder = PreparedDecoder(self.decoder, dtype)  # type: ignore[assignment]  # draws alike, learns not
        return self

    @property
    def draws_clips(self) -> bool:
        """Whether frames are drawn with the rest of their clip, or at least faster so; else each for itself."""
        return self.config.decoder == "recurrent" or isinstance(self.decoder, PreparedDecoder)

    @property
    def rounds(self) -> bool:
        """Whether frames are drawn in less than float32, so that codes 1e-7 apart may give pixels 3 levels apart."""
        return isinstance(self.decoder, PreparedDecoder) and self.decoder.layout.weight.dtype is not torch.float32

    def _content(self, clip: Tensor, features: Tensor | None = None) -> Gaussian:
        if isinstance(self.content_posterior, PatchContent | GlimpseContent | PooledContent):
            return self.content_posterior(clip)
        return self.content_posterior(self._features(clip) if features is None else features)

    def _motion_features(self, clip: Tensor, of: Tensor | None = None) -> Tensor:
        if self.config.motion_input == "standardised":
            clip = standardised(clip, moments(clip) if of is None else of)
        elif self.config.motion_input == "contrast":
            clip = contrast(clip)
        return self._features(clip)

    def _features(self, clip: Tensor) -> Tensor:
        return self.frame_encoder(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])

    def _check(self, clip: Tensor, *, coarse: bool = False) -> None:
        shapes = [self.config.frame_shape]
        if coarse and isinstance(self.frame_encoder, SimpleEncoder) and self.config.motion_input == "frames":
            shapes.append((self.config.channels, *2 * (self.frame_encoder.averaged.side,)))
        if tuple(clip.shape[2:]) not in shapes or clip.shape[1] == 0:
            expected = " or ".join(f"(B, T ≥ 1, {', '.join(map(str, shape))})" for shape in shapes)
            raise ShapeError(f"a batch of clips has shape {expected}; this one has {tuple(clip.shape)}")


def _decoder(config: ModelConfig) -> Decoder | ModulatedDecoder | PlacedDecoder:
    networks = config.frame_networks
    if isinstance(networks, SimpleFrames):  # as the configuration has it
        if config.decoder == "modulated":
            return ModulatedDecoder(config, networks)
        if config.decoder == "placed":
            return PlacedDecoder(config, networks)
    return Decoder(config)
