"""Networks that are trained against the encoder and never shipped.

Shapes: n samples, D dimensions of a code.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


class FeatureCritic(nn.Module):
    """f_γ of the scaled MMD (eq. 22): fully connected 256, 256, 128, 1 with spectral normalisation."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in ((dim, 256), (256, 256), (256, 128)):
            layers += [spectral_norm(nn.Linear(before, after)), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, spectral_norm(nn.Linear(128, 1)))

    def forward(self, codes: Float[Tensor, "n D"]) -> Float[Tensor, "n 1"]:
        return self.layers(codes)
