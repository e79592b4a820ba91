"""DS-VAE, the disentangled sequential autoencoder of Li & Mandt 2018, on R-WAE's networks.

The same graph as R-WAE, trained as a variational autoencoder: reconstruction, the KL of z^c to N(0, I) and the KL of
z^m to its learned prior. What differs are the posteriors: bidirectional, and that of z^m never sees a draw of z^m.
Shapes: B clips, T steps, F features of a frame, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import ModelConfig
from rwae_core.gaussian import Gaussian, GaussianHead
from rwae_core.model import RWAE


class DSVAEConfig(ModelConfig):
    """R-WAE's configuration and the form of the posterior: "full" or "factorised" q (their section 2)."""

    method: Literal["ds-vae"] = "ds-vae"
    posterior: Literal["full", "factorised"] = "full"
    decoder: Literal["recurrent", "memoryless", "modulated", "placed"] = "memoryless"


class BidirectionalContent(nn.Module):
    """q(z^c | x_{1:T}): both ends of a bidirectional LSTM over the features of all frames."""

    def __init__(self, config: DSVAEConfig) -> None:
        super().__init__()
        self.lstm = nn.LSTM(config.hidden_dim, config.hidden_dim, batch_first=True, bidirectional=True)
        self.head = GaussianHead(2 * config.hidden_dim, config.content_dim)

    def forward(self, features: Float[Tensor, "B T F"]) -> Gaussian:
        ends = self.lstm(features)[1][0]
        return self.head(torch.cat([*ends], dim=-1))


class FactorisedMotion(nn.Module):
    """q(z^m_t | x_t): each frame's features alone."""

    def __init__(self, config: DSVAEConfig) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(config.hidden_dim, config.hidden_dim), nn.LeakyReLU(0.2))
        self.head = GaussianHead(config.hidden_dim, config.motion_dim)

    def forward(self, features: Float[Tensor, "B T F"], z_c: Float[Tensor, "B Dc"]) -> Gaussian:
        del z_c
        return self.head(self.hidden(features))


class FullMotion(nn.Module):
    """q(z^m_{1:T} | z^c, x_{1:T}): a bidirectional LSTM over features and z^c, an RNN over its states."""

    def __init__(self, config: DSVAEConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.lstm = nn.LSTM(hidden + config.content_dim, hidden, batch_first=True, bidirectional=True)
        self.rnn = nn.RNN(2 * hidden, hidden, batch_first=True)
        self.head = GaussianHead(hidden, config.motion_dim)

    def forward(self, features: Float[Tensor, "B T F"], z_c: Float[Tensor, "B Dc"]) -> Gaussian:
        seen = torch.cat([features, z_c[:, None].expand(-1, features.shape[1], -1)], dim=-1)
        return self.head(self.rnn(self.lstm(seen)[0])[0])


class DSVAE(RWAE):
    """R-WAE's networks with DS-VAE's posteriors. All verbs, with and without an action variable."""

    config: DSVAEConfig

    def __init__(self, config: DSVAEConfig) -> None:
        super().__init__(config)
        if config.content_posterior == "recurrent":
            self.content_posterior = BidirectionalContent(config)
        self.motion_posterior = FullMotion(config) if config.posterior == "full" else FactorisedMotion(config)

    def infer_motion(
        self, features: Float[Tensor, "B T F"], z_c: Float[Tensor, "B Dc"], noise: Float[Tensor, "B T Dm"] | None
    ) -> tuple[Gaussian, Float[Tensor, "B T Dm"]]:
        """Q(z^m | x) at every step, and the draw that `noise` makes of it (without: its means)."""
        motion = self.motion_posterior(features, z_c)
        return motion, motion.mean if noise is None else motion.mean + motion.std * noise
