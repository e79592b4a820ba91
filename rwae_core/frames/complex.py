"""The complex ("C") frame networks: residual blocks and self-attention of BigGAN (Brock et al. 2019), and a ladder.

Figs. 7, 9 and 10, Tables 5 to 8. Nothing here may depend on the batch, so BigGAN's batch normalisation is replaced by
normalisation within a frame (decoder) or none (encoder, as in BigGAN's discriminator); spectral normalisation, which
keeps BigGAN's adversary in check, is left out.

Shapes: N frames of C×H×W, F features, P features of a level of the ladder, maps of K channels.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ComplexFrames
from rwae_core.frames.output import Output


class SelfAttention(nn.Module):
    """maps + γ · attention of every place to all places (Zhang et al. 2019), as BigGAN has it.

    Queries and keys have K/8 channels and values K/2; keys and values are the largest of 2×2 places. Scores are divided
    by the square root of the queries' channels, which BigGAN leaves to spectral normalisation.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow, half = math.ceil(width / 8), math.ceil(width / 2)
        self.query = nn.Conv2d(width, narrow, 1, bias=False)
        self.key = nn.Sequential(nn.Conv2d(width, narrow, 1, bias=False), nn.MaxPool2d(2))
        self.value = nn.Sequential(nn.Conv2d(width, half, 1, bias=False), nn.MaxPool2d(2))
        self.output = nn.Conv2d(half, width, 1, bias=False)
        # BigGAN starts γ at 0, where the first step would give the convolutions no gradient.
        self.gain = nn.Parameter(torch.tensor(0.1))

    def forward(self, maps: Float[Tensor, "N K H W"]) -> Float[Tensor, "N K H W"]:
        narrow, half = self.query.out_channels, self.output.in_channels
        tokens = [project(maps).flatten(2).transpose(1, 2) for project in (self.query, self.key, self.value)]
        # Zeros make queries and keys as wide as values, which changes no score. Fused attention asks for this on a CPU,
        # and without it all scores are held at once, 16 MB for a frame of 128 pixels.
        query, key, value = (functional.pad(t, (0, half - t.shape[-1])).contiguous()[:, None] for t in tokens)
        attended = functional.scaled_dot_product_attention(query, key, value, scale=narrow**-0.5)[:, 0]
        return maps + self.gain * self.output(attended.transpose(1, 2).unflatten(2, maps.shape[2:]))


class ResBlockDown(nn.Module):
    """Two 3×3 convolutions behind leaky ReLUs beside a 1×1 shortcut, both averaged to half the resolution.

    On pixels, which are not negative, the first leaky ReLU is the identity, so this also is BigGAN's first block, which
    has none.
    """

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.Conv2d(before, after, 3, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(after, after, 3, padding=1),
            nn.AvgPool2d(2),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, after, 1))

    def forward(self, maps: Float[Tensor, "N _ H W"]) -> Float[Tensor, "N _ H/2 W/2"]:
        return self.residual(maps) + self.shortcut(maps)


class Conditioning(nn.Module):
    """BigGAN's conditional normalisation, (1 + a(h)) · normalised maps + b(h) with linear a and b, within a frame.

    Channels are normalised in groups over the places of one frame. Statistics of the batch would let a frame depend on
    its neighbours.
    """

    def __init__(self, width: int, features: int) -> None:
        super().__init__()
        self.normalise = nn.GroupNorm(math.gcd(width, 32), width, affine=False)
        self.modulation = nn.Linear(features, 2 * width)

    def forward(self, maps: Float[Tensor, "N K H W"], features: Float[Tensor, "N P"]) -> Float[Tensor, "N K H W"]:
        scale, shift = self.modulation(features)[..., None, None].chunk(2, dim=1)
        return self.normalise(maps) * (1 + scale) + shift


class ResBlockUp(nn.Module):
    """Two conditioned 3×3 convolutions beside a 1×1 shortcut, both at twice the resolution, nearest neighbours."""

    def __init__(self, before: int, after: int, features: int) -> None:
        super().__init__()
        self.first = Conditioning(before, features)
        self.widen = nn.Sequential(
            nn.LeakyReLU(0.2), nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1)
        )
        self.second = Conditioning(after, features)
        self.refine = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(after, after, 3, padding=1))
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1), nn.Upsample(scale_factor=2))

    def forward(self, maps: Float[Tensor, "N _ H W"], features: Float[Tensor, "N P"]) -> Float[Tensor, "N _ 2*H 2*W"]:
        residual = self.widen(self.first(maps, features))
        return self.refine(self.second(residual, features)) + self.shortcut(maps)


class Rung(nn.Module):
    """One part hⁱ of the features: a fully connected layer on maps, averaged down to at most 4×4 places.

    At its full resolution of 32×32 the first block has 65,536 values. Adam moves all of their weights at once, and its
    first step at 3e-4 moves such a sum by 3, twenty times its own size; averaged, no block has more than 8,192.
    """

    def __init__(self, width: int, size: int, features: int) -> None:
        super().__init__()
        places = min(size, 4)
        self.layers = nn.Sequential(
            nn.LeakyReLU(0.2),
            nn.AvgPool2d(size // places),
            nn.Flatten(),
            nn.Linear(width * places**2, features),
        )

    def forward(self, maps: Float[Tensor, "N K H W"]) -> Float[Tensor, "N P"]:
        return self.layers(maps)


def _initialise(network: nn.Module) -> None:
    """Starts convolutions so that they keep the deviation of their input (He et al. 2015): 3×3 ones behind leaky ReLUs.

    PyTorch's own start shrinks it with every block, so that the deepest maps hardly tell frames apart: coloured shapes
    of 32 pixels then keep 50% more error after 1,000 steps. BigGAN's orthogonal start lies between the two.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, a=0.2 if module.kernel_size == (3, 3) else 1.0)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


class ComplexEncoder(nn.Module):
    """Residual blocks down to 2×2, self-attention after the first, and a ladder h = [hᴸ … h¹, h⁰].

    hⁱ is read from the maps after block i. The paper has six parts and five blocks; h⁰ is read from the frame itself,
    the one level left, and tells of its rough layout and colours.
    """

    def __init__(self, networks: ComplexFrames, features: int) -> None:
        super().__init__()
        widths = (networks.channels, *networks.encoder_widths)
        first, *others = (ResBlockDown(before, after) for before, after in pairwise(widths))
        self.blocks = nn.ModuleList([nn.Sequential(first, SelfAttention(widths[1])), *others])
        part = features // len(widths)
        self.ladder = nn.ModuleList([Rung(width, networks.size >> level, part) for level, width in enumerate(widths)])
        _initialise(self)

    def forward(self, frames: Float[Tensor, "N C H W"]) -> Float[Tensor, "N F"]:
        levels = [frames]
        for block in self.blocks:
            levels.append(block(levels[-1]))
        parts = [rung(maps) for rung, maps in zip(self.ladder, levels, strict=True)]
        return torch.cat(parts[::-1], dim=1)


class ComplexDecoder(nn.Module):
    """h = [hᴸ … h⁰]: hᴸ becomes maps of 2×2, each other part conditions a residual block up to the frame.

    BigGAN splits its latent code like this. Self-attention stands before the last block. The last maps are not
    normalised before the 3×3 convolution to the frame, as BigGAN's are: the colour of plain ground then hangs on all
    that is drawn on it, and coloured shapes of 32 pixels kept a third more error after 400 steps.
    """

    def __init__(self, networks: ComplexFrames, features: int) -> None:
        super().__init__()
        widths = (2 * networks.decoder_widths[0], *networks.decoder_widths)
        part = features // len(widths)
        self.part = part
        self.features = nn.Sequential(nn.Linear(part, widths[0] * 4), nn.Unflatten(1, (widths[0], 2, 2)))
        self.blocks = nn.ModuleList([ResBlockUp(before, after, part) for before, after in pairwise(widths)])
        self.attention = SelfAttention(widths[-2])
        self.output = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv2d(widths[-1], networks.channels, 3, padding=1))
        self.bounded = Output(networks.output)
        _initialise(self)

    @property
    def output_bias(self) -> Float[Tensor, " C"]:
        """The last bias: the colour of a frame on which all features are 0, before the sigmoid."""
        return self.output[-1].get_parameter("bias")

    def forward(self, features: Float[Tensor, "N F"]) -> Float[Tensor, "N C H W"]:
        top, *conditions = features.split(self.part, dim=1)
        maps = self.features(top)
        for block, condition in zip(self.blocks, conditions, strict=True):
            if block is self.blocks[-1]:
                maps = self.attention(maps)
            maps = block(maps, condition)
        return self.bounded(self.output(maps))
