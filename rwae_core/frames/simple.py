"""The simple ("S") frame networks of DS-VAE (Li & Mandt 2018): 4×4 convolutions of stride 2, and their transposes.

Shapes: N frames of C×H×W, F features.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import SimpleFrames
from rwae_core.frames.output import Output


class SimpleEncoder(nn.Module):
    """Strided convolutions down to 4×4 and one fully connected layer."""

    def __init__(self, networks: SimpleFrames, features: int) -> None:
        super().__init__()
        averaged = networks.size // (4 << len(networks.encoder_widths))
        layers: list[nn.Module] = [nn.AvgPool2d(averaged)] if averaged > 1 else []
        before: int = networks.channels
        for width in networks.encoder_widths:
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = width
        self.convolutions = nn.Sequential(*layers)
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(before * 16, features), nn.LeakyReLU(0.2))

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N F"]:
        return self.features(self.convolutions(frames))


class SimpleDecoder(nn.Module):
    """One fully connected layer to 4×4, transposed convolutions up to the frame, a sigmoid or a clamp."""

    def __init__(self, networks: SimpleFrames, features: int) -> None:
        super().__init__()
        widths = networks.decoder_widths
        self.features = nn.Sequential(nn.Linear(features, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)))
        layers: list[nn.Module] = []
        for before, after in zip(widths, (*widths[1:], networks.channels), strict=True):
            layers += [nn.LeakyReLU(0.2), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        self.convolutions = nn.Sequential(*layers)
        self.output = Output(networks.output)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.convolutions[-1].get_parameter("bias")

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N C H W"]:
        return self.output(self.convolutions(self.features(features)))
