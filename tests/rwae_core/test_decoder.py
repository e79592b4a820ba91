"""The modulation of maps by content, and its gradients, are those of the formula."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rwae_core.decoder import modulated


def test_it_is_the_formula_for_each_frame_of_a_clip() -> None:
    maps, scale, shift = _drawn()
    found = modulated(maps, scale, shift)
    for frame in range(6):
        clip = frame // 3
        expected = functional.leaky_relu((1 + scale[clip]) * maps[frame] + shift[clip], 0.2)
        torch.testing.assert_close(found[frame], expected)


@pytest.mark.parametrize("channels_last", [True, False])
def test_its_gradients_are_those_of_the_formula(channels_last: bool) -> None:
    maps, scale, shift = _drawn()
    if not channels_last:
        maps = maps.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
    inputs = [each.requires_grad_() for each in (maps.detach(), scale, shift)]
    assert torch.autograd.gradcheck(modulated, inputs)


def test_what_it_is_given_stays_as_it_is() -> None:
    maps, scale, shift = _drawn()
    kept = maps.clone()
    inputs = [each.requires_grad_() for each in (maps, scale, shift)]
    gradient = torch.ones_like(maps)
    modulated(*inputs).backward(gradient)
    assert torch.equal(maps, kept)
    assert torch.equal(gradient, torch.ones_like(maps))


def _drawn() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    return normal(6, 4, 5, 3), normal(2, 3), normal(2, 3)
