"""Networks that are trained against the encoder and never shipped.

Shapes: n samples, D dimensions of a code; B clips, S frames of each, A actions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rwae_core.config import ModelConfig
from rwae_core.precision import at_least_single
from training.preset import Objective


class FeatureCritic(nn.Module):
    """f_γ of the scaled MMD (eq. 22): fully connected 256, 256, 128, 1 with spectral normalisation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((dim, 256), (256, 256), (256, 128)):
            layers += [spectral_norm(nn.Linear(before, after)), nn.LeakyReLU(0.2)]
        # The kernel sees differences of features alone, so a last bias would do nothing.
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Linear(128, 1, bias=False)))

    def forward(self, codes: Float[Tensor, "n D"]) -> Float[Tensor, "n 1"]:
        return self.layers(codes)


class Discriminator(nn.Module):
    """D_γ of R-WAE(GAN) (eq. 23): fully connected 256, 256, 128, 1; its output is the logit of "from the prior"."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((dim, 256), (256, 256), (256, 128)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(128, 1))

    def forward(self, codes: Float[Tensor, "n D"]) -> Float[Tensor, "n 1"]:
        return self.layers(codes)


class DependenceCritic(nn.Module):
    """Tells codes (z^c, z^m) of one clip from those of two; its logit estimates ln q(z^c, z^m) / q(z^c) q(z^m)."""

    def __init__(self, content_dim: int, motion_dim: int, frames: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(content_dim + motion_dim * frames, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, 1),
        )

    def forward(self, z_c: Float[Tensor, "n Dc"], z_m: Float[Tensor, "n T Dm"]) -> Float[Tensor, " n"]:
        return self.layers(torch.cat([z_c, z_m.flatten(1)], dim=1)).squeeze(1)


class FrameDiscriminator(nn.Module):
    """Logits of "filmed and not drawn" for each of 4×4 places of a frame, told what is done in it.

    Spectrally normalised convolutions of stride 2 halve a frame to 4×4; to what they see, a projection of the action's
    probabilities on it is added (Miyato & Koyama 2018).
    """

    def __init__(self, channels: int, size: int, actions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, side = channels, size
        while side > 4:
            after, side = min(128, 48 << (len(layers) // 2)), side // 2
            layers += [spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers)
        self.filmed = spectral_norm(nn.Conv2d(before, 1, 1))
        self.action = spectral_norm(nn.Linear(actions, before, bias=False)) if actions else None

    def forward(
        self, frames: Float[Tensor, "B S C H W"], action: Float[Tensor, "B A"] | None
    ) -> Float[Tensor, "B S h w"]:
        seen = self.layers(2 * frames.flatten(0, 1) - 1)
        logits = self.filmed(seen).squeeze(1)
        if self.action is not None and action is not None:
            told = self.action(action).repeat_interleave(frames.shape[1], 0)
            logits = logits + torch.einsum("nkhw,nk->nhw", seen, told)
        return at_least_single(logits).unflatten(0, frames.shape[:2])


class Critics(nn.Module):
    """The critics that a preset's objective needs."""

    def __init__(self, model: ModelConfig, objective: Objective) -> None:
        super().__init__()
        self.content = FeatureCritic(model.content_dim) if objective.content_mmd else None
        self.discriminator = Discriminator(model.content_dim) if objective.content_gan else None
        self.dependence = (
            DependenceCritic(model.content_dim, model.motion_dim, model.frames) if objective.dependence else None
        )
        self.frames = FrameDiscriminator(model.channels, model.size, model.actions) if objective.frame_gan else None
