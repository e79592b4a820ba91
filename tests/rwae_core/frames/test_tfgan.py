"""TFGAN's networks against those that its authors published (resnet2.py, 32 filters, 64 pixels)."""

import torch
from torch import nn

from rwae_core.config import TFGANFrames
from rwae_core.frames.tfgan import ResBlock, TFGANDecoder, TFGANEncoder

# Theirs go down to 2×2, further than TFGANFrames allows at present.
THEIRS = TFGANFrames()


def passed(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, list[tuple[int, ...]]]:
    """What comes out of a network, and the maps after its blocks."""
    seen: list[tuple[int, ...]] = []
    for module in network.modules():
        if isinstance(module, ResBlock):
            module.register_forward_hook(lambda _, __, out: seen.append(tuple(out.shape[1:])))
    return network(inputs), seen


def test_the_encoder_is_their_image_discriminator() -> None:
    with torch.device("meta"):
        encoder = TFGANEncoder(THEIRS, 150)
        features, maps = passed(encoder, torch.zeros(2, 3, 64, 64))
    assert maps == [(64, 64, 64), (128, 32, 32), (128, 16, 16), (128, 8, 8), (256, 4, 4), (256, 2, 2)]
    assert features.shape == (2, 150)
    assert encoder.convolutions[0].out_channels == 32
    # Where the width stays, the shortcut has no weights.
    shortcuts = [isinstance(m.shortcut, nn.Conv2d) for m in encoder.modules() if isinstance(m, ResBlock)]
    assert shortcuts == [True, True, False, False, True, False]


def test_the_decoder_is_their_frame_generator() -> None:
    with torch.device("meta"):
        decoder = TFGANDecoder(THEIRS, 150)
        frames, maps = passed(decoder, torch.zeros(2, 150))
    assert maps == [(256, 2, 2), (128, 4, 4), (128, 8, 8), (128, 16, 16), (64, 32, 32), (32, 64, 64)]
    assert frames.shape == (2, 3, 64, 64)
    assert decoder.features[0].out_features == 256 * 4


def test_nothing_is_normalised() -> None:
    with torch.device("meta"):
        modules = [*TFGANEncoder(TFGANFrames(), 150).modules(), *TFGANDecoder(TFGANFrames(), 150).modules()]
    assert not [m for m in modules if "Norm" in type(m).__name__]
