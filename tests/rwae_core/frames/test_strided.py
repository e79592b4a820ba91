"""Strided layers are torch's, and in bfloat16 learn what torch's learn in float64."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.frames import strided
from rwae_core.frames.strided import Down, Up

LAYERS = {"down": (Down, functional.conv2d), "up": (Up, functional.conv_transpose2d)}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("side", [2, 6, 16])
def test_a_layer_is_torchs(name: str, side: int) -> None:
    kind, expected = LAYERS[name]
    torch.manual_seed(0)
    layer, maps = kind(3, 5), torch.rand(2, 3, side, side)
    found = layer(maps)
    assert found.shape[-1] == (side // 2 if kind is Down else 2 * side)
    torch.testing.assert_close(found, expected(maps, layer.weight, layer.bias, 2, 1))


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("case", [(8, 8, 48), (1, 2, 48), (3, 10, 48), (2, 40, 48), (3, 8, 3)])
@pytest.mark.parametrize("tiles", [True, False])
def test_in_bfloat16_gradients_are_those_of_float64(
    name: str, case: tuple[int, int, int], tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, side, after = case
    monkeypatch.setattr(strided, "TILES", tiles)
    kind, expected = LAYERS[name]
    torch.manual_seed(0)
    layer, maps = kind(32, after), torch.randn(count, 32, side, side, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(maps)
    assert found.dtype == (torch.float32 if kind is Up and after < strided.NARROW else torch.bfloat16)
    assert ("_Strided" in type(found.grad_fn).__name__) == (kind is Up or after >= strided.NARROW), "not by oneDNN"
    shares = torch.randn_like(found)
    got = torch.autograd.grad(found, (maps, layer.weight, layer.bias), shares)

    exact = [each.detach().double().requires_grad_() for each in (maps, layer.weight, layer.bias)]
    wanted = torch.autograd.grad(expected(*exact, 2, 1), exact, shares.double())
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == torch.float32
        assert apart(one, other) < 0.01  # bfloat16 has 8 bits: 0.4%


@pytest.mark.parametrize("shape", [(2, 20, 3, 6), (1, 5, 1, 2), (3, 4, 20, 5)])
def test_a_narrow_layer_is_torchs_and_its_gradients_too(shape: tuple[int, int, int, int]) -> None:
    """In whatever is computed in: it is a convolution of another kind, by the pixels between places."""
    count, before, after, side = shape
    torch.manual_seed(0)
    layer = Up(before, after).double()
    maps = torch.randn(count, before, side, side, dtype=torch.float64, requires_grad=True)
    found = layer(maps)
    assert "_Strided" in type(found.grad_fn).__name__
    expected = functional.conv_transpose2d(maps, layer.weight, layer.bias, 2, 1)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(layer.unbiased(maps) + layer.bias[:, None, None], expected)
    shares, leaves = torch.randn_like(expected), (maps, layer.weight, layer.bias)
    wanted = torch.autograd.grad(expected, leaves, shares)
    torch.testing.assert_close(torch.autograd.grad(found, leaves, shares), wanted)
    layer.requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(layer(maps), maps, shares), wanted[:1])
    with torch.no_grad():
        torch.testing.assert_close(layer(maps), found.detach(), rtol=0, atol=0)


@pytest.mark.parametrize("name", LAYERS)
def test_what_a_layer_gives_can_be_changed_in_place(name: str) -> None:
    """As the activations behind them do, and their gradients see it."""
    kind, expected = LAYERS[name]
    torch.manual_seed(0)
    layer, maps = kind(32, 48), torch.randn(2, 32, 8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(maps).mul_(3)
    got = torch.autograd.grad(found.sum(), layer.weight)[0]
    weight = layer.weight.detach().double().requires_grad_()
    wanted = 3 * expected(maps.double(), weight, layer.bias.double(), 2, 1)
    assert apart(got, torch.autograd.grad(wanted.sum(), weight)[0]) < 0.01


def test_frozen_weights_pass_gradients_on() -> None:
    torch.manual_seed(0)
    layer = Up(32, 48).requires_grad_(False)
    maps = torch.randn(2, 32, 4, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(maps).sum().backward()
    assert maps.grad is not None
    expected = functional.conv2d(torch.ones(2, 48, 8, 8), layer.weight, None, 2, 1)
    assert apart(maps.grad, expected.double()) < 0.01


def test_weights_of_torchs_layers_fit() -> None:
    Down(3, 5).load_state_dict(nn.Conv2d(3, 5, 4, stride=2, padding=1).state_dict())
    Up(3, 5).load_state_dict(nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1).state_dict())


def apart(found: Tensor, expected: Tensor) -> float:
    return ((found.double() - expected).norm() / expected.norm()).item()
