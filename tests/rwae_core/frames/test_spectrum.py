"""The speech networks at the size of Table 1."""

import torch
from torch import nn

from rwae_core.config import SpectrumFrames
from rwae_core.frames.spectrum import SpectrumDecoder, SpectrumEncoder
from rwae_core.speech import SpectrumConfig


def sizes(network: nn.Module) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in network.modules() if isinstance(m, nn.Linear)]


def test_two_hidden_layers_of_256_lie_between_200_bins_and_the_features() -> None:
    with torch.device("meta"):
        encoder, decoder = SpectrumEncoder(SpectrumFrames(), 150), SpectrumDecoder(SpectrumFrames(), 150)
    assert sizes(encoder) == [(200, 256), (256, 256), (256, 150)]
    assert sizes(decoder) == [(150, 256), (256, 256), (256, 200)]


def test_the_decoder_mirrors_the_encoder() -> None:
    networks = SpectrumFrames(spectrum=SpectrumConfig(sample_rate=1000, hop=10, window=40), widths=(16, 8, 4))
    mirrored = [(after, before) for before, after in reversed(sizes(SpectrumEncoder(networks, 2)))]
    assert sizes(SpectrumDecoder(networks, 2)) == mirrored
