"""FHVAE, the factorised hierarchical variational autoencoder of Hsu, Zhang & Glass 2017, for columns of spectra.

A sequence i (an utterance) has a mean μ₂, and each of its segments of T columns two codes: z₂ around μ₂, what stays the
same throughout the sequence (here z^c), and z₁, what does not (here z^m):
p(μ₂) = N(0, I), p(z₂ | μ₂) = N(μ₂, 0.5² I), p(z₁) = N(0, I), p(x_t | z₁, z₂) a Gaussian .

Shapes: B segments, T columns of K bins with values in [0, 1], S of them drawn, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from rwae_core.config import Width
from rwae_core.errors import ShapeError, UnsupportedError
from rwae_core.gaussian import Gaussian, GaussianHead, Generators, standard_normal
from rwae_core.latents import Latents, check_request
from rwae_core.model import Inference

SEGMENT_STD = 0.5
"""σ_{z₂}, how far a segment's z₂ strays from its sequence's μ₂, of which the prior's deviation σ_{μ₂} is 1."""


class FHVAEConfig(BaseModel):
    """Shapes of one FHVAE. The defaults are those of Table 1.

    `frames` and `fps` as in R-WAE's configuration, here columns of a segment and columns a second; `hidden_dim` is the
    width of the three LSTMs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["fhvae"] = "fhvae"
    frames: Annotated[int, Field(ge=1, le=4096)] = 20
    fps: Annotated[float, Field(gt=0, le=240)] = 100.0
    bins: Width = 200
    content_dim: Width = 16
    motion_dim: Width = 16
    hidden_dim: Width = 256

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Bins of a column."""
        return (self.bins,)


class SegmentPosterior(nn.Module):
    """q(z | inputs): the last state of an LSTM over what is seen of a segment, and a Gaussian head."""

    def __init__(self, inputs: int, hidden: int, dim: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(inputs, hidden, batch_first=True)
        self.head = GaussianHead(hidden, dim)

    def forward(self, seen: Float[Tensor, "B T F"]) -> Gaussian:
        return self.head(self.lstm(seen)[1][0][-1])


class SegmentDecoder(nn.Module):
    """p(x_t | z₁, z₂) at every step: an LSTM that is told the same codes at each, and a Gaussian head."""

    def __init__(self, codes: int, hidden: int, bins: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(codes, hidden, batch_first=True)
        self.head = GaussianHead(hidden, bins)

    def forward(self, codes: Float[Tensor, "B D"], frames: int) -> Gaussian:
        return self.head(self.lstm(codes[:, None].expand(-1, frames, -1))[0])


class FHVAE(nn.Module):
    """Encoders of z₂ and z₁ and the decoder, with the verbs of `training.sequence_model.SequenceModel`.

    z^c is z₂. z^m is z₁ at every step: a segment has one z₁, and as many steps as it is repeated. The table of μ₂
    belongs to training (`training.hierarchical`); `sequence_mean` finds μ₂ of sequences that were not trained on.
    Columns are seen and drawn in deviations from `frame_mean`, as the authors normalise their features.
    """

    frame_mean: Float[Tensor, " K"]
    frame_std: Float[Tensor, " K"]

    def __init__(self, config: FHVAEConfig) -> None:
        super().__init__()
        self.config = config
        bins, content, motion, hidden = config.bins, config.content_dim, config.motion_dim, config.hidden_dim
        self.register_buffer("frame_mean", torch.zeros(bins))
        self.register_buffer("frame_std", torch.ones(bins))
        self.content_posterior = SegmentPosterior(bins, hidden, content)
        self.motion_posterior = SegmentPosterior(bins + content, hidden, motion)
        self.decoder = SegmentDecoder(motion + content, hidden, bins)

    def infer(
        self, clip: Float[Tensor, "B T K"], *, generator: Generators | None = None, sample: bool = True
    ) -> Inference:
        """q(z₂ | x) q(z₁ | x, z₂), sampled, or followed along its means with `sample=False`.

        Args:
            clip: Segments, values in [0, 1].
            generator: Source of the draws; each segment draws z₂, then z₁.
            sample: Whether the codes are draws or the posterior's means.

        Raises:
            ShapeError: columns of another shape than the configuration's, or no column.
        """
        if tuple(clip.shape[2:]) != self.config.frame_shape or clip.shape[1] == 0:
            raise ShapeError(
                f"a batch of spectra has shape (B, T ≥ 1, {self.config.bins}); this one has {tuple(clip.shape)}"
            )
        seen = (clip - self.frame_mean) / self.frame_std
        dims = [self.config.content_dim, self.config.motion_dim]
        content_noise, motion_noise = standard_normal((len(clip), sum(dims)), generator, clip).split(dims, 1)
        content = self.content_posterior(seen)
        z_2 = content.mean + content.std * content_noise if sample else content.mean
        motion = self.motion_posterior(torch.cat([seen, z_2[:, None].expand(-1, clip.shape[1], -1)], dim=-1))
        z_1 = motion.mean + motion.std * motion_noise if sample else motion.mean
        return Inference(content, motion, Latents(z_2, _at_every_step(z_1, clip.shape[1])))

    def likelihood(self, latents: Latents) -> Gaussian:
        """p(x_t | z₁, z₂) at every step, as one Gaussian of shape (B, T, K); its mean may leave [0, 1].

        z₁ is the mean of z^m over the steps, for the codes of this model what it is at each.

        Raises:
            ShapeError: codes of other dimensions than the configuration's, an action, or no step.
        """
        latents.check(self.config.content_dim, self.config.motion_dim, 0)
        drawn = self.decoder(torch.cat([latents.z_m.mean(1), latents.z_c], dim=-1), latents.z_m.shape[1])
        return Gaussian(self.frame_mean + self.frame_std * drawn.mean, self.frame_std * drawn.std)

    def encode(self, clip: Float[Tensor, "B T K"], generator: Generators | None = None) -> Latents:
        """Codes of segments: posterior means, or a draw from the posterior where a generator is given."""
        return self.infer(clip, generator=generator, sample=generator is not None).latents

    def decode(self, latents: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S K"]:
        """Mean spectra of codes, values in [0, 1], as long as z^m.

        Args:
            latents: Codes of whole segments.
            steps: Which columns of each segment to give; all where absent.

        Raises:
            ShapeError: codes of other dimensions than the configuration's, an action, or no step.
        """
        frames = self.likelihood(latents).mean.clamp(0, 1)
        return frames if steps is None else frames[torch.arange(len(steps), device=steps.device)[:, None], steps]

    def swap(self, content: Float[Tensor, "B S K"], motion: Float[Tensor, "B T K"]) -> Float[Tensor, "B T K"]:
        """z₂ of `content` decoded with z₁ of `motion`."""
        return self.decode(Latents(self.encode(content).z_c, self.encode(motion).z_m))

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
        """Codes from the priors: z₂ ~ N(0, τ² (1 + 0.5²) I), what it is over all sequences, and z₁ ~ N(0, τ² I).

        Args:
            n: Segments.
            frames: Steps of each.
            generator: One for the batch, or one for each segment, which draws z₂, then z₁, whether or not they are
                given, so fixing a code does not change the other.
            temperature: τ, at least 0; 1 is the prior itself.
            z_c: z₂ to keep.
            z_m: z₁ to keep: its mean over the steps given, at each of `frames`.
            action: Not here.

        Raises:
            ShapeError: fewer than one segment or frame, or codes given that are not n.
            UnsupportedError: an action is given.
        """
        if action is not None:
            raise UnsupportedError("FHVAE has no action; it can encode, decode, swap, sample and generate without one")
        check_request(n, frames, z_c=z_c, z_m=z_m)
        dims = [self.config.content_dim, self.config.motion_dim]
        content_noise, motion_noise = standard_normal((n, sum(dims)), generator, self.frame_mean).split(dims, 1)
        if z_c is None:
            z_c = temperature * (1 + SEGMENT_STD**2) ** 0.5 * content_noise
        z_1 = temperature * motion_noise if z_m is None else z_m.mean(1)
        return Latents(z_c, _at_every_step(z_1, frames))

    def generate(
        self, n: int, frames: int, generator: Generators | None = None, *, temperature: float = 1.0
    ) -> Float[Tensor, "B T K"]:
        """New spectra: codes from the priors, decoded."""
        return self.decode(self.sample(n, frames, generator, temperature=temperature))


def sequence_mean(z_c: Float[Tensor, "N Dc"]) -> Float[Tensor, " Dc"]:
    """The s-vector of a sequence that was not trained on: μ₂ where its posterior is highest, given its segments' z₂.

    argmax ln p(μ₂) + Σ_n ln p(z₂⁽ⁿ⁾ | μ₂) = Σ_n z₂⁽ⁿ⁾ / (N + σ²_{z₂} / σ²_{μ₂}), the mean drawn to 0 by a quarter of a
    segment; z₂ are the posterior means of the sequence's N segments.
    """
    return z_c.sum(0) / (len(z_c) + SEGMENT_STD**2)


def _at_every_step(z_1: Float[Tensor, "B Dm"], frames: int) -> Float[Tensor, "B T Dm"]:
    return z_1[:, None].expand(-1, frames, -1)
