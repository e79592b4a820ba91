"""The frame networks of TFGAN (Balaji et al. 2018): residual blocks of one convolution, without normalisation.

They follow the image discriminator and the frame generator that TFGAN's authors published with its version of 2019
(github.com/minrq/CGAN_Text2Video, gan_training/models/resnet2.py): 3×3 convolutions behind leaky ReLUs, averages of 3×3
on the way down, nearest neighbours on the way up. Theirs are the widths 32 and 64 beside 128 at the full resolution of
the encoder, and 32 beside 64 in the decoder; to keep these ratios for other widths is ours, and so is to leave out what
serves their adversary alone: the filters made from text in the encoder, tanh in the decoder.

Shapes: N frames of C×H×W, F features.
"""

from __future__ import annotations

import math
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.config import TFGANFrames
from rwae_core.frames.output import Output


class ResBlock(nn.Module):
    """A leaky ReLU and a 3×3 convolution beside a shortcut, which is 1×1 where the width changes."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(before, after, 3, padding=1))
        self.shortcut = nn.Identity() if before == after else nn.Conv2d(before, after, 1, bias=False)

    def forward(self, maps: Float[Tensor, "N _ H W"]) -> Float[Tensor, "N _ H W"]:
        return self.shortcut(maps) + self.residual(maps)


class TFGANEncoder(nn.Module):
    """A convolution and a block at full resolution, a block after each halving, one fully connected layer."""

    def __init__(self, networks: TFGANFrames, features: int) -> None:
        super().__init__()
        widths = networks.encoder_widths
        quarter, half = math.ceil(widths[0] / 4), math.ceil(widths[0] / 2)
        layers: list[nn.Module] = [nn.Conv2d(networks.channels, quarter, 3, padding=1), ResBlock(quarter, half)]
        for before, after in pairwise((half, *widths)):
            layers += [nn.AvgPool2d(3, stride=2, padding=1), ResBlock(before, after)]
        self.convolutions = nn.Sequential(*layers, nn.LeakyReLU(0.2))
        smallest = networks.size >> len(widths)
        self.features = nn.Sequential(nn.Flatten(), nn.Linear(widths[-1] * smallest**2, features))

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N F"]:
        return self.features(self.convolutions(frames))


class TFGANDecoder(nn.Module):
    """One fully connected layer and a block, a block after each doubling, a convolution, a sigmoid or a clamp."""

    def __init__(self, networks: TFGANFrames, features: int) -> None:
        super().__init__()
        widths = networks.decoder_widths
        smallest, last = networks.size >> len(widths), math.ceil(widths[-1] / 2)
        self.features = nn.Sequential(
            nn.Linear(features, widths[0] * smallest**2), nn.Unflatten(1, (widths[0], smallest, smallest))
        )
        layers: list[nn.Module] = [ResBlock(widths[0], widths[0])]
        for before, after in pairwise((*widths, last)):
            layers += [nn.Upsample(scale_factor=2), ResBlock(before, after)]
        layers += [nn.LeakyReLU(0.2), nn.Conv2d(last, networks.channels, 3, padding=1)]
        self.convolutions = nn.Sequential(*layers)
        self.output = Output(networks.output)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.convolutions[-1].get_parameter("bias")

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N C H W"]:
        return self.output(self.convolutions(self.features(features)))
