"""The disentangled recurrent Wasserstein autoencoder (Han et al., ICLR 2021).

Shapes: B clips, T frames of C×H×W with values in [0, 1], F features of a frame, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import ModelConfig
from rwae_core.content import PatchContent, RecurrentContent
from rwae_core.decoder import Decoder, ModulatedDecoder
from rwae_core.errors import ShapeError
from rwae_core.frames import SimpleEncoder
from rwae_core.gaussian import Gaussian, Generators, standard_normal
from rwae_core.latents import Latents
from rwae_core.motion import MotionPosterior, RecurrentPrior, State


@dataclass(frozen=True)
class Inference:
    """What the inference model says of a batch of clips, with the draw that was made on the way."""

    content: Gaussian
    motion: Gaussian
    latents: Latents


class RWAE(nn.Module):
    """Encoder, recurrent prior and decoder of R-WAE (eqs. 4 and 5).

    `encode`, `decode`, `swap` and `generate` are what users call; `infer` and `motion_prior` are what training needs.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.frame_encoder = SimpleEncoder(config)
        patches = config.content_posterior == "patches"
        self.content_posterior = PatchContent(config) if patches else RecurrentContent(config)
        self.motion_posterior = MotionPosterior(config)
        self.prior = RecurrentPrior(config)
        self.decoder = ModulatedDecoder(config) if config.decoder == "modulated" else Decoder(config)

    def infer(
        self,
        clip: Float[Tensor, "B T C H W"],
        *,
        content_clip: Float[Tensor, "B S C H W"] | None = None,
        generator: Generators | None = None,
        sample: bool = True,
    ) -> Inference:
        """Q_φ(z^c, z^m_{1:T} | x_{1:T}) of eq. 5, sampled, or followed along its means with `sample=False`.

        Args:
            clip: What the motion posterior sees, values in [0, 1].
            content_clip: What the content posterior sees; `clip` where absent.
            generator: Source of the draws.
            sample: Whether z^c and z^m are draws or the posterior's means.

        Raises:
            ShapeError: frames of another shape than the configuration's, or no frame.
        """
        features = self._features(clip)
        seen = clip if content_clip is None else content_clip
        if isinstance(self.content_posterior, PatchContent):
            content = self.content_posterior(seen)
        else:
            content = self.content_posterior(features if seen is clip else self._features(seen))
        z_c = content.sample(generator) if sample else content.mean

        batch, steps = clip.shape[:2]
        noise = standard_normal((batch, steps, self.config.motion_dim), generator, z_c) if sample else None
        previous, state = z_c.new_zeros(batch, self.config.motion_dim), None
        means, stds, draws = [], [], []
        for step in range(steps):
            posterior, state = self.motion_posterior(features[:, step], previous, state)
            previous = posterior.mean if noise is None else posterior.mean + posterior.std * noise[:, step]
            means.append(posterior.mean)
            stds.append(posterior.std)
            draws.append(previous)
        motion = Gaussian(torch.stack(means, 1), torch.stack(stds, 1))
        return Inference(content, motion, Latents(z_c, torch.stack(draws, 1)))

    def motion_prior(self, z_m: Float[Tensor, "B T Dm"]) -> Gaussian:
        """P_ψ(z^m_t | z^m_{<t}) at every step of given histories, as one Gaussian of shape (B, T, Dm)."""
        previous, state = torch.zeros_like(z_m[:, 0]), None
        means, stds = [], []
        for step in range(z_m.shape[1]):
            prior, state = self.prior(previous, state)
            means.append(prior.mean)
            stds.append(prior.std)
            previous = z_m[:, step]
        return Gaussian(torch.stack(means, 1), torch.stack(stds, 1))

    def encode(self, clip: Float[Tensor, "B T C H W"], generator: Generators | None = None) -> Latents:
        """Codes of clips: posterior means, or a draw from the posterior where a generator is given."""
        return self.infer(clip, generator=generator, sample=generator is not None).latents

    def decode(self, latents: Latents) -> Float[Tensor, "B T C H W"]:
        """Clips of codes, x_t = G(z^c, z^m_t), values in [0, 1].

        Raises:
            ShapeError: codes of other dimensions than the configuration's, or no step.
        """
        found = (latents.z_c.shape[-1], latents.z_m.shape[-1])
        expected = (self.config.content_dim, self.config.motion_dim)
        if found != expected:
            raise ShapeError(f"codes of {found} content and motion dimensions; this model has {expected}")
        if latents.z_m.shape[1] == 0:
            raise ShapeError("z_m has no step; a clip has at least one")
        return self.decoder(latents.z_c, latents.z_m)

    def swap(
        self, content: Float[Tensor, "B S C H W"], motion: Float[Tensor, "B T C H W"]
    ) -> Float[Tensor, "B T C H W"]:
        """The content of one clip with the motion of another: z^c of `content` decoded with z^m of `motion`."""
        kept, moved = self.encode(content), self.encode(motion)
        return self.decode(Latents(kept.z_c, moved.z_m, moved.action))

    def sample(
        self,
        n: int,
        frames: int,
        generator: Generators | None = None,
        *,
        temperature: float = 1.0,
        z_c: Float[Tensor, "B Dc"] | None = None,
        z_m: Float[Tensor, "B S Dm"] | None = None,
    ) -> Latents:
        """Codes from the priors: z^c ~ N(0, τ²I), z^m rolled out of P_ψ with its deviations scaled by τ.

        Args:
            n: Clips.
            frames: Steps of each.
            generator: One for the batch, or one for each clip; each clip draws z^c, then z^m in order of time, whether
                or not they are given, so fixing a code does not change the others.
            temperature: τ, at least 0; 1 is the prior itself.
            z_c: Content to keep.
            z_m: Motion to keep. Where it is shorter than `frames`, the prior continues it.

        Raises:
            ShapeError: fewer than one clip or frame, or codes given that are not n.
        """
        if n < 1 or frames < 1:
            raise ShapeError(f"{n} clips of {frames} frames; both must be at least 1")
        for name, code in (("z_c", z_c), ("z_m", z_m)):
            if code is not None and len(code) != n:
                raise ShapeError(f"{name} has {len(code)} rows; {n} clips need as many")
        like = next(self.parameters())
        content_dim, motion_dim = self.config.content_dim, self.config.motion_dim
        noise = standard_normal((n, content_dim + frames * motion_dim), generator, like) * temperature
        if z_c is None:
            z_c = noise[:, :content_dim]
        steps = noise[:, content_dim:].unflatten(1, (frames, motion_dim))

        given = 0 if z_m is None else z_m.shape[1]
        state: State | None = None
        rolled = [] if z_m is None else list(z_m[:, :frames].unbind(1))
        previous = like.new_zeros(n, motion_dim)
        for step in range(frames):
            if step >= given or given < frames:
                prior, state = self.prior(previous, state)
                if step >= given:
                    rolled.append(prior.mean + prior.std * steps[:, step])
            previous = rolled[step]
        return Latents(z_c, torch.stack(rolled, 1))

    def generate(
        self, n: int, frames: int, generator: Generators | None = None, *, temperature: float = 1.0
    ) -> Float[Tensor, "B T C H W"]:
        """New clips: codes from the priors, decoded."""
        return self.decode(self.sample(n, frames, generator, temperature=temperature))

    def _features(self, clip: Tensor) -> Tensor:
        if clip.ndim != 5 or clip.shape[1] == 0 or tuple(clip.shape[2:]) != self.config.frame_shape:
            raise ShapeError(
                f"a batch of clips has shape (B, T ≥ 1, {', '.join(map(str, self.config.frame_shape))}); "
                f"this one has {tuple(clip.shape)}"
            )
        return self.frame_encoder(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])
