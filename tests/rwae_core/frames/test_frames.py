"""What every pair of frame networks keeps."""

from typing import NamedTuple

import pytest
import torch
from torch import nn
from torch.nn import functional

from rwae_core.config import ComplexFrames, FrameNetworks, SimpleFrames, SpectrumFrames, TFGANFrames
from rwae_core.frames.complex import ComplexDecoder, ComplexEncoder
from rwae_core.frames.simple import Averaged, SimpleDecoder, SimpleEncoder
from rwae_core.frames.spectrum import SpectrumDecoder, SpectrumEncoder
from rwae_core.frames.tfgan import TFGANDecoder, TFGANEncoder
from rwae_core.speech import SpectrumConfig

FIFTY_BINS = SpectrumConfig(sample_rate=1000, hop=10, window=100)

FEATURES = 42  # both 6 and 7 levels divide it


class Pair(NamedTuple):
    networks: FrameNetworks
    encoder: nn.Module
    decoder: nn.Module


def widths(*channels: int) -> dict[str, tuple[int, ...]]:
    return {"encoder_widths": channels, "decoder_widths": channels[::-1]}


VARIANTS = {
    "simple": (SimpleEncoder, SimpleDecoder, SimpleFrames(**widths(8, 16, 32, 64))),
    "complex": (ComplexEncoder, ComplexDecoder, ComplexFrames(**widths(8, 12, 24, 32, 64))),
    "complex-one-channel": (ComplexEncoder, ComplexDecoder, ComplexFrames(channels=1, **widths(5, 8, 16, 24, 32))),
    "complex-128-pixels": (ComplexEncoder, ComplexDecoder, ComplexFrames(size=128, **widths(3, 5, 8, 16, 32, 64))),
    "tfgan": (TFGANEncoder, TFGANDecoder, TFGANFrames(**widths(16, 16, 16, 32, 64))),
    "tfgan-one-channel": (TFGANEncoder, TFGANDecoder, TFGANFrames(channels=1, **widths(16, 16, 16, 32, 64))),
    "tfgan-128-pixels": (TFGANEncoder, TFGANDecoder, TFGANFrames(size=128, **widths(3, 5, 8, 16, 16, 32))),
    "spectrum": (
        SpectrumEncoder,
        SpectrumDecoder,
        SpectrumFrames(spectrum=FIFTY_BINS, widths=(32, 24)),
    ),
}


@pytest.fixture(params=VARIANTS)
def pair(request: pytest.FixtureRequest) -> Pair:
    torch.manual_seed(0)
    encoder, decoder, networks = VARIANTS[request.param]
    return Pair(networks, encoder(networks, FEATURES), decoder(networks, FEATURES))


def smooth(networks: FrameNetworks, n: int) -> torch.Tensor:
    """Random frames without hard edges, values in [0, 1]."""
    *channels, size = networks.frame_shape
    channels, coarse = ([1], [8]) if not channels else (channels[:1], [8, 8])
    noise = torch.rand(n, channels[0], *coarse, generator=torch.Generator().manual_seed(1))
    frames = functional.interpolate(noise, size=size, mode="linear" if len(coarse) == 1 else "bilinear")
    return frames.reshape(n, *networks.frame_shape)


def test_frames_become_features_and_features_frames_in_0_to_1(pair: Pair) -> None:
    frames = smooth(pair.networks, 2)
    features = pair.encoder.eval()(frames)
    assert features.shape == (2, FEATURES)
    for scale in (1, 100):
        back = pair.decoder.eval()(scale * features)
        assert back.shape == frames.shape
        assert 0 <= back.min() <= back.max() <= 1


def test_a_linear_output_is_clamped_outside_of_training_only(pair: Pair) -> None:
    networks = pair.networks.model_copy(update={"output": "linear"})
    decoder = type(pair.decoder)(networks, FEATURES)
    features = torch.randn(4, FEATURES, generator=torch.Generator().manual_seed(0))
    free = decoder.train()(100 * features)
    assert free.min() < 0
    torch.testing.assert_close(decoder.eval()(100 * features), free.clamp(0, 1))


def test_gradients_reach_every_parameter(pair: Pair) -> None:
    pair.decoder(pair.encoder(smooth(pair.networks, 2))).square().sum().backward()
    for network in (pair.encoder, pair.decoder):
        without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
        assert without == []


def test_a_frame_does_not_depend_on_its_neighbours_even_in_training(pair: Pair) -> None:
    frames = smooth(pair.networks, 5)
    features = pair.encoder(frames)
    torch.testing.assert_close(pair.encoder(frames[1:2]), features[1:2])
    torch.testing.assert_close(pair.decoder(features[1:2]), pair.decoder(features)[1:2])


def test_every_feature_reaches_the_frame(pair: Pair) -> None:
    features = torch.randn(1, FEATURES, generator=torch.Generator().manual_seed(0)).requires_grad_()
    pair.decoder(features).std().backward()
    assert features.grad is not None
    assert features.grad.ne(0).all()


def test_the_output_bias_is_the_last_and_moves_the_frame(pair: Pair) -> None:
    bias = pair.decoder.output_bias
    assert bias is list(pair.decoder.parameters())[-1]
    features = torch.zeros(1, FEATURES)
    before = pair.decoder(features)
    with torch.no_grad():
        bias += 1
    assert (pair.decoder(features) > before).all()


def test_bfloat16_and_channels_last_stay_close(pair: Pair) -> None:
    frames = smooth(pair.networks, 2)
    features, back = pair.encoder(frames), pair.decoder(pair.encoder(frames))
    for network in (pair.encoder, pair.decoder):
        network.to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = pair.encoder(frames)
        rounded_back = pair.decoder(rounded)
    assert rounded_back.dtype == torch.float32
    assert (rounded.float() - features).abs().mean() < 0.02
    assert (rounded_back - back).abs().mean() < 0.02
    rounded_back.sum().backward()


@pytest.mark.parametrize("pair", ["simple", "complex", "tfgan", "spectrum"], indirect=True)
def test_a_few_steps_draw_better_than_one_flat_colour(pair: Pair) -> None:
    frames = smooth(pair.networks, 4)
    optimiser = torch.optim.Adam([*pair.encoder.parameters(), *pair.decoder.parameters()], 1e-3, betas=(0.5, 0.9))
    for _ in range(25):
        loss = (pair.decoder(pair.encoder(frames)) - frames).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss < 0.9 * frames.var()


@pytest.mark.parametrize("size", [16, 32, 128])
def test_a_coarse_frame_is_the_averages_of_squares(size: int) -> None:
    frames = torch.rand(3, 2, size, size, dtype=torch.float64)
    for given in (frames, frames.contiguous(memory_format=torch.channels_last)):
        with torch.autocast("cpu", torch.bfloat16):
            found = Averaged(16)(given)
        torch.testing.assert_close(found, functional.avg_pool2d(frames, size // 16))
