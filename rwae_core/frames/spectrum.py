"""Fully connected networks on one column of a log-magnitude spectrum, as DS-VAE's for speech (Li & Mandt 2018).

Shapes: N columns of K bins, F features.
"""

from __future__ import annotations

from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import SpectrumFrames
from rwae_core.frames.output import Output


class SpectrumEncoder(nn.Module):
    """Hidden layers and one layer to the features, each with a leaky ReLU."""

    def __init__(self, networks: SpectrumFrames, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((networks.spectrum.bins, *networks.widths, features)):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers)

    def forward(self, frames: Float[Tensor, "N K"]) -> Float[Tensor, "N F"]:
        return self.layers(frames)


class SpectrumDecoder(nn.Module):
    """The encoder's hidden layers in reverse and one layer to the bins, a sigmoid or a clamp."""

    def __init__(self, networks: SpectrumFrames, features: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise((features, *reversed(networks.widths))):
            layers += [nn.Linear(before, after), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Linear(networks.widths[0], networks.spectrum.bins))
        self.output = Output(networks.output)

    @property
    def output_bias(self) -> Float[Tensor, " K"]:
        """The last bias: the column of a frame on which all features are 0, before the sigmoid."""
        return self.layers[-1].get_parameter("bias")

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N K"]:
        return self.output(self.layers(features))
