"""MoCoGAN (Tulyakov et al., CVPR 2018): a generator of clips without an encoder; `training.adversarial` trains it.

A content code z^c per clip, motion codes z^m_t from a recurrent network that is fed noise, and a categorical action a;
each frame is drawn from its (z^c, a, z^m_t) alone.
Shapes: B clips, T frames of C×H×W with values in [0, 1], S of them drawn, Dc content and Dm motion dimensions,
A actions.
"""

from __future__ import annotations

from typing import Annotated, Literal, NoReturn

import torch
from jaxtyping import Float, Int
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from rwae_core.config import Width
from rwae_core.errors import UnsupportedError
from rwae_core.gaussian import Generators, standard_normal
from rwae_core.latents import Latents, check_request, even_actions
from rwae_core.precision import at_least_single
from training import views
from training.batch_norm import BatchNorm


class MoCoGANConfig(BaseModel):
    """Shapes of one MoCoGAN. The defaults are the paper's.

    `frames` is the length of the clips it is trained on (any length can be generated), `fps` the rate at which
    generated clips play. `actions` is A, 0 without the categorical code. `widths` are the generator's channels before
    each doubling of the resolution from 4×4: log2(size / 4) entries; the discriminators have them in reverse.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Literal["mocogan"] = "mocogan"
    frames: Annotated[int, Field(ge=1, le=4096)] = 16
    fps: Annotated[float, Field(gt=0, le=240)] = 8.0
    size: int = 64
    channels: Literal[1, 3] = 3
    content_dim: Width = 50
    motion_dim: Width = 10
    actions: Annotated[int, Field(ge=0, le=256)] = 0
    widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (512, 256, 128, 64)

    @model_validator(mode="after")
    def _widths_fit_size(self) -> MoCoGANConfig:
        if self.size != 4 << len(self.widths):
            fits = 4 << len(self.widths)
            raise ValueError(f"size is {self.size}; {len(self.widths)} widths, each before a doubling, make {fits}")
        return self

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Channels, height and width of a frame."""
        return (self.channels, self.size, self.size)


class MoCoGAN(nn.Module):
    """The generator: `sample`, `decode` and `generate`; it has no way from clips to codes.

    Frames are normalised over the batch in training, as in the paper, and with the running statistics in evaluation
    mode, in which a clip does not depend on its neighbours.
    """

    def __init__(self, config: MoCoGANConfig) -> None:
        super().__init__()
        self.config = config
        self.motion = nn.GRUCell(config.motion_dim, config.motion_dim)
        widths = config.widths
        layers: list[nn.Module] = [
            nn.Linear(config.content_dim + config.actions + config.motion_dim, widths[0] * 16, bias=False),
            nn.Unflatten(1, (widths[0], 4, 4)),
        ]
        for before, after in zip(widths, (*widths[1:], config.channels), strict=True):
            convolution = nn.ConvTranspose2d(before, after, 4, stride=2, padding=1, bias=False)
            layers += [BatchNorm(before), nn.ReLU(), convolution]
        self.frames = nn.Sequential(*layers, nn.Tanh())

    def decode(self, latents: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S C H W"]:
        """Clips of codes, x_t = G(z^c, a, z^m_t), values in [0, 1].

        Args:
            latents: Codes of whole clips.
            steps: Which frames of each clip to draw; all where absent.

        Raises:
            ShapeError: codes of other dimensions than the configuration's, or no step.
        """
        latents.check(self.config.content_dim, self.config.motion_dim, self.config.actions)
        constant = latents.z_c if latents.action is None else torch.cat([latents.z_c, latents.action], dim=1)
        z_m = latents.z_m if steps is None else views.at_steps(latents.z_m, steps)
        codes = torch.cat([constant[:, None].expand(-1, z_m.shape[1], -1), z_m], dim=2)
        return (1 + at_least_single(self.frames(codes.flatten(0, 1))).unflatten(0, codes.shape[:2])) / 2

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
        """Codes from the priors: z^c ~ N(0, τ²I), a uniform, z^m_t = GRU(ε_t, z^m_{t−1}) with ε_t, z^m_0 ~ N(0, τ²I).

        Args:
            n: Clips.
            frames: Steps of each.
            generator: One for the batch, or one for each clip; each clip draws z^c, the action (where the model has
                one), z^m_0, then ε in order of time, whether or not they are given, so fixing a code does not change
                the others.
            temperature: τ, at least 0; 1 is the prior itself.
            z_c: Content to keep.
            z_m: Motion to keep. Where it is shorter than `frames` it goes on from there: z^m_t is all of the state.
            action: Actions to keep, as one-hot vectors or probabilities.

        Raises:
            ShapeError: fewer than one clip or frame, or codes given that are not n.
        """
        check_request(n, frames, z_c=z_c, z_m=z_m, action=action)
        like = next(self.parameters())
        content_dim, motion_dim, actions = self.config.content_dim, self.config.motion_dim, self.config.actions
        drawn = [content_dim, min(actions, 1), (1 + frames) * motion_dim]
        content_noise, action_noise, noise = standard_normal((n, sum(drawn)), generator, like).split(drawn, 1)
        if z_c is None:
            z_c = content_noise * temperature
        if actions and action is None:
            action = even_actions(action_noise[:, 0], actions)
        first, *steps = (noise.unflatten(1, (1 + frames, motion_dim)) * temperature).unbind(1)
        rolled = [] if z_m is None else list(z_m[:, :frames].unbind(1))
        for step in range(len(rolled), frames):
            rolled.append(self.motion(steps[step], rolled[-1] if rolled else first))
        return Latents(z_c, torch.stack(rolled, 1), action)

    def generate(
        self, n: int, frames: int, generator: Generators | None = None, *, temperature: float = 1.0
    ) -> Float[Tensor, "B T C H W"]:
        """New clips: codes from the priors, decoded."""
        return self.decode(self.sample(n, frames, generator, temperature=temperature))

    def encode(self, clip: Float[Tensor, "B T C H W"], generator: Generators | None = None) -> NoReturn:
        """Raises UnsupportedError: there is no encoder."""
        del clip, generator
        raise UnsupportedError("MoCoGAN has no encoder, so it cannot encode clips; it can sample, decode and generate")

    def swap(self, content: Float[Tensor, "B S C H W"], motion: Float[Tensor, "B T C H W"]) -> NoReturn:
        """Raises UnsupportedError: there is no encoder."""
        del content, motion
        raise UnsupportedError("MoCoGAN has no encoder, so it cannot swap clips; it can sample, decode and generate")
