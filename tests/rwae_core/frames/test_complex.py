"""The complex networks against Tables 5 to 8, at full size, and their parts against their formulas."""

import pytest
import torch
from torch import nn

from rwae_core.config import ComplexFrames
from rwae_core.frames.complex import (
    ComplexDecoder,
    ComplexEncoder,
    Conditioning,
    ResBlockDown,
    ResBlockUp,
    Rung,
    SelfAttention,
)

ENCODER = [
    ("ResBlockDown", (64, 32, 32)),
    ("SelfAttention", (64, 32, 32)),
    ("ResBlockDown", (128, 16, 16)),
    ("ResBlockDown", (256, 8, 8)),
    ("ResBlockDown", (512, 4, 4)),
    ("ResBlockDown", (1024, 2, 2)),
]


def decoder_of(first: int) -> list[tuple[str, tuple[int, int, int]]]:
    return [
        ("Unflatten", (2 * first, 2, 2)),
        ("ResBlockUp", (first, 4, 4)),
        ("ResBlockUp", (first // 2, 8, 8)),
        ("ResBlockUp", (first // 4, 16, 16)),
        ("ResBlockUp", (first // 8, 32, 32)),
        ("SelfAttention", (first // 8, 32, 32)),
        ("ResBlockUp", (first // 16, 64, 64)),
    ]


MUG = (1536, 768, 384, 192, 96)
TABLES = {
    "sprites": (ComplexFrames(), 150, ENCODER, decoder_of(1024)),
    "sm-mnist": (ComplexFrames(channels=1), 150, ENCODER, decoder_of(1024)),
    "mug": (ComplexFrames(decoder_widths=MUG), 180, ENCODER, decoder_of(1536)),
}


def passed(network: nn.Module, inputs: torch.Tensor) -> tuple[torch.Tensor, list[tuple[str, tuple[int, ...]]]]:
    """What comes out of a network, and the maps that it makes on the way."""
    seen: list[tuple[str, tuple[int, ...]]] = []
    for module in network.modules():
        if isinstance(module, ResBlockDown | ResBlockUp | SelfAttention | nn.Unflatten):
            module.register_forward_hook(lambda m, _, out: seen.append((type(m).__name__, tuple(out.shape[1:]))))
    return network(inputs), seen


@pytest.mark.parametrize("table", TABLES)
def test_maps_are_those_of_tables_5_to_8(table: str) -> None:
    networks, features, encoder_maps, decoder_maps = TABLES[table]
    with torch.device("meta"):
        encoder, decoder = ComplexEncoder(networks, features), ComplexDecoder(networks, features)
        hidden, down = passed(encoder, torch.zeros(2, *networks.frame_shape))
        frames, up = passed(decoder, hidden)
    assert down == encoder_maps
    assert up == decoder_maps
    assert hidden.shape == (2, features)
    assert frames.shape == (2, *networks.frame_shape)
    kernels = {m.kernel_size for m in (*encoder.modules(), *decoder.modules()) if isinstance(m, nn.Conv2d)}
    assert kernels == {(1, 1), (3, 3)}


def test_128_pixels_take_six_blocks_and_attend_at_half_their_resolution() -> None:
    networks = ComplexFrames(
        size=128, encoder_widths=(32, 64, 128, 256, 512, 1024), decoder_widths=(1024, 512, 256, 128, 64, 32)
    )
    with torch.device("meta"):
        hidden, down = passed(ComplexEncoder(networks, 154), torch.zeros(1, 3, 128, 128))
        frames, up = passed(ComplexDecoder(networks, 154), hidden)
    assert [shape for name, shape in down if name == "SelfAttention"] == [(32, 64, 64)]
    assert [shape for name, shape in up if name == "SelfAttention"] == [(64, 64, 64)]
    assert (len(down), len(up)) == (7, 8)
    assert hidden.shape == (1, 154)
    assert frames.shape == (1, 3, 128, 128)


def test_each_part_of_the_features_has_its_level() -> None:
    networks = ComplexFrames(encoder_widths=(4, 4, 4, 4, 4), decoder_widths=(4, 4, 4, 4, 4))
    encoder, decoder = ComplexEncoder(networks, 12), ComplexDecoder(networks, 12)
    frames = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    features = encoder(frames)
    torch.testing.assert_close(features[:, -2:], encoder.ladder[0](frames))
    with torch.no_grad():
        encoder.ladder[5].layers[-1].weight.zero_()
        encoder.ladder[5].layers[-1].bias.fill_(7)
    torch.testing.assert_close(encoder(frames)[:, :2], torch.full((1, 2), 7.0))
    torch.testing.assert_close(encoder(frames)[:, 2:], features[:, 2:])

    assert decoder.features[0].weight.shape == (8 * 2 * 2, 2)
    conditions: list[torch.Tensor] = []
    for block in decoder.blocks:
        block.register_forward_pre_hook(lambda _, inputs: conditions.append(inputs[1]))
    decoder(features)
    torch.testing.assert_close(torch.cat(conditions, dim=1), features[:, 2:])


def test_attention_is_biggans() -> None:
    torch.manual_seed(0)
    attention, maps = SelfAttention(16), torch.randn(2, 16, 8, 8)
    query, key, value = (project(maps).flatten(2) for project in (attention.query, attention.key, attention.value))
    assert (query.shape, key.shape, value.shape) == ((2, 2, 64), (2, 2, 16), (2, 8, 16))
    weights = torch.softmax(torch.einsum("ncq, nck -> nqk", query, key) / 2**0.5, dim=-1)
    attended = torch.einsum("nqk, nck -> ncq", weights, value).unflatten(2, (8, 8))
    torch.testing.assert_close(attention(maps), maps + 0.1 * attention.output(attended))


def test_conditioning_normalises_within_a_frame_then_scales_and_shifts() -> None:
    torch.manual_seed(0)
    conditioning, features = Conditioning(64, 5), torch.randn(3, 5)
    scale, shift = conditioning.modulation(features).detach().chunk(2, dim=1)
    maps = conditioning(9 + 4 * torch.randn(3, 64, 16, 16), features)
    groups = ((maps - shift[..., None, None]) / (1 + scale[..., None, None])).unflatten(1, (32, 2))
    torch.testing.assert_close(groups.mean((2, 3, 4)), torch.zeros(3, 32), atol=1e-4, rtol=0)
    torch.testing.assert_close(groups.std((2, 3, 4)), torch.ones(3, 32), atol=1e-2, rtol=0)


def test_a_rung_sees_at_most_4_by_4_places() -> None:
    assert Rung(64, 32, 25).layers[-1].in_features == 64 * 16
    assert Rung(1024, 2, 25).layers[-1].in_features == 1024 * 4


def test_a_fresh_network_neither_swells_nor_dies_with_depth() -> None:
    torch.manual_seed(0)
    networks = ComplexFrames(encoder_widths=(16, 32, 64, 128, 256), decoder_widths=(256, 128, 64, 32, 16))
    encoder, decoder = ComplexEncoder(networks, 150), ComplexDecoder(networks, 150)
    deviations: list[float] = []
    for module in (*encoder.blocks, *encoder.ladder, *decoder.blocks):
        module.register_forward_hook(lambda m, _, out: deviations.append(out.std().item()))
    frames = decoder(encoder(torch.rand(4, 3, 8, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)))
    assert len(deviations) == 5 + 6 + 5
    assert 0.2 < min(deviations) <= max(deviations) < 4
    assert frames.std(0).mean() > 0.01
