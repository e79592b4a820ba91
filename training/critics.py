"""Networks that are trained against the encoder and never shipped.

Shapes: n samples, D dimensions of a code; B clips, S frames of each, A actions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rwae_core.config import ModelConfig
from rwae_core.latents import Latents
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
    """Logits of "filmed and not drawn" for places of a frame, told what is done in it and whose clip it is.

    Spectrally normalised convolutions of stride 2 halve a frame to 4×4. Of each of 8×8 places, 22 pixels wide, and of
    4×4, which see 46, it says so on its own. To what is seen, projections on it of the action's probabilities and of
    z^c are added (Miyato & Koyama 2018): apart, as whoever was never filmed doing something does it, too.
    """

    def __init__(self, channels: int, size: int, actions: int, content_dim: int) -> None:
        super().__init__()
        self.layers, self.heads = nn.ModuleList(), nn.ModuleList()
        before, side = channels, size
        while side > 4:
            after, side = min(128, 48 << (len(self.layers) // 2)), side // 2
            self.layers.append(nn.Sequential(spectral_norm(nn.Conv2d(before, after, 4, 2, 1)), nn.LeakyReLU(0.2)))
            if side <= 8:
                self.heads.append(_PlacesHead(after, actions, content_dim))
            before = after

    def forward(self, frames: Float[Tensor, "B S C H W"], codes: Latents) -> Float[Tensor, "B S n"]:
        """Of each frame.

        Args:
            frames: Filmed or drawn.
            codes: Of the clip they are of, or what they were drawn of; z^m is not looked at.
        """
        seen, logits = 2 * frames.flatten(0, 1) - 1, []
        for index, layer in enumerate(self.layers, len(self.heads) - len(self.layers)):
            seen = layer(seen)
            if index >= 0:
                logits.append(self.heads[index](seen, codes, frames.shape[1]).flatten(1))
        # Both scales have as much say, though one has a quarter of the other's places.
        most = logits[0].shape[1]
        said = torch.cat([each.repeat(1, most // each.shape[1]) for each in logits], 1)
        return at_least_single(said).unflatten(0, frames.shape[:2])


class _PlacesHead(nn.Module):
    """What is said of each place of a frame, as surely as it learns to: normalised, it had hardly an opinion."""

    def __init__(self, width: int, actions: int, content_dim: int) -> None:
        super().__init__()
        self.filmed = nn.Conv2d(width, 1, 1)
        self.action = nn.Linear(actions, width, bias=False) if actions else None
        self.content = nn.Linear(content_dim, width, bias=False)

    def forward(self, seen: Float[Tensor, "n k h w"], codes: Latents, steps: int) -> Float[Tensor, "n h w"]:
        told = self.content(codes.z_c)
        if self.action is not None and codes.action is not None:
            told = told + self.action(codes.action)
        return self.filmed(seen).squeeze(1) + torch.einsum("nkhw,nk->nhw", seen, told.repeat_interleave(steps, 0))


class Critics(nn.Module):
    """The critics that a preset's objective needs.

    That of content climbs what codes descend: its gradients are reversed (Ganin & Lempitsky 2015), so one evaluation
    serves both.
    """

    def __init__(self, model: ModelConfig, objective: Objective) -> None:
        super().__init__()
        self.content = FeatureCritic(model.content_dim) if objective.content_mmd else None
        for parameter in () if self.content is None else self.content.parameters():
            parameter.register_hook(Tensor.neg)
        self.discriminator = Discriminator(model.content_dim) if objective.content_gan else None
        self.dependence = (
            DependenceCritic(model.content_dim, model.motion_dim, model.frames) if objective.dependence else None
        )
        self.frames = (
            FrameDiscriminator(model.channels, model.size, model.actions, model.content_dim)
            if objective.frame_gan
            else None
        )
