"""What content's posteriors see: a glimpse follows the object, wherever it is."""

from __future__ import annotations

import pytest
import torch

from rwae_core.content import glimpses


def on(background: tuple[float, ...], drawn: torch.Tensor, *corners: tuple[int, int]) -> torch.Tensor:
    frames = torch.tensor(background)[:, None, None].expand(len(corners), -1, 64, 64).clone()
    for frame, (row, column) in zip(frames, corners, strict=True):
        frame[:, row : row + drawn.shape[1], column : column + drawn.shape[2]] = drawn
    return frames


@pytest.mark.parametrize("background", [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (0.2, 0.7, 0.4)])
def test_an_object_is_seen_alike_wherever_it_is(background: tuple[float, ...]) -> None:
    drawn = torch.rand(3, 12, 9, generator=torch.Generator().manual_seed(0))
    seen = glimpses(on(background, drawn, (26, 27), (16, 20), (36, 39), (20, 39)), 32)
    assert seen.shape == (4, 3, 32, 32)
    for other in seen[1:]:
        assert torch.equal(other, seen[0])
    different = (seen[0] - torch.tensor(background)[:, None, None]).abs().sum(0) > 1e-6
    assert different.sum() == 12 * 9
    rows, columns = different.nonzero().unbind(1)
    assert abs(rows.double().mean() + 0.5 - 16) < 2
    assert abs(columns.double().mean() + 0.5 - 16) < 2


def test_beyond_the_edge_a_glimpse_shows_the_edge_and_of_nothing_the_middle() -> None:
    drawn = torch.ones(1, 6, 6)
    (corner,) = glimpses(on((0.0,), drawn, (0, 0)), 32)
    assert corner.sum() > 36  # the object's own edge goes on
    ramp = torch.arange(64.0)[None, None, None] / 64 + torch.zeros(1, 1, 64, 1)
    (middle,) = glimpses(torch.zeros(1, 1, 64, 64) + 0.5, 32)
    assert torch.equal(middle, torch.full((1, 32, 32), 0.5))
    assert glimpses(ramp, 32).shape == (1, 1, 32, 32)


def test_gradients_reach_what_is_seen() -> None:
    frames = on((0.0,), torch.rand(1, 8, 8), (10, 40)).requires_grad_()
    glimpses(frames, 32).sum().backward()
    assert frames.grad is not None
    assert frames.grad.sum() == 32 * 32
    assert frames.grad[0, 0, 14, 44] == 1
    assert frames.grad[0, 0, 60, 5] == 0
