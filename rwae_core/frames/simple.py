"""The simple ("S") frame networks of DS-VAE (Li & Mandt 2018): 4×4 convolutions of stride 2, and their transposes.

Shapes: N frames of C×H×W, F features.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import SimpleFrames
from rwae_core.frames.output import Output
from rwae_core.frames.strided import Down, Up


class Averaged(nn.Module):
    """Averages of squares, as many a side as the convolutions behind it want; others stay as they are."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C {self.side} {self.side}"]:
        if frames.shape[-1] == self.side:
            return frames
        # A sum of rows and a product take half as long as a product alone, and a third of pooling.
        square = frames.shape[-1] // self.side
        own = torch.eye(self.side, dtype=frames.dtype, device=frames.device).repeat_interleave(square, 0)
        with torch.autocast(frames.device.type, enabled=False):
            return frames.unflatten(2, (self.side, square)).sum(3) @ (own / square**2)


class SimpleEncoder(nn.Module):
    """Strided convolutions down to 4×4 and one fully connected layer.

    Few convolutions see a coarse frame, which is averaged (`averaged`) and may be so before it comes.
    """

    def __init__(self, networks: SimpleFrames, features: int) -> None:
        super().__init__()
        side = 4 << len(networks.encoder_widths)
        self.averaged = Averaged(side)
        layers: list[nn.Module] = [nn.Identity()] if networks.size > side else []  # where weights know an average
        before: int = networks.channels
        for width in networks.encoder_widths:
            layers += [Down(before, width), nn.LeakyReLU(0.2, inplace=True)]
            before = width
        self.convolutions = nn.Sequential(*layers[:-1])
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(before * 16, features), nn.LeakyReLU(0.2))

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N F"]:
        maps = self.convolutions(self.averaged(frames))
        # The last activation is of rows, as its gradient comes: where channels are last, it would be in another layout.
        return self.features(functional.leaky_relu(maps.flatten(1), 0.2))


class SimpleDecoder(nn.Module):
    """One fully connected layer to 4×4, transposed convolutions up to the frame, a sigmoid or a clamp."""

    def __init__(self, networks: SimpleFrames, features: int) -> None:
        super().__init__()
        widths = networks.decoder_widths
        self.features = nn.Sequential(nn.Linear(features, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4)))
        layers: list[nn.Module] = []
        for before, after in zip(widths, (*widths[1:], networks.channels), strict=True):
            layers += [nn.LeakyReLU(0.2), Up(before, after)]
        self.convolutions = nn.Sequential(*layers)
        self.output = Output(networks.output)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.convolutions[-1].get_parameter("bias")

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N C H W"]:
        return self.output(self.convolutions(self.features(features)))
