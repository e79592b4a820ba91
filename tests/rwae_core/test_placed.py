"""Pictures that are placed: against a slow reference, shifted by whole pixels, and with the gradient of the place."""

from __future__ import annotations

import pytest
import torch

from rwae_core.placed import placed


def reference(drawn: torch.Tensor, place: torch.Tensor, side: int) -> torch.Tensor:
    """One picture on one frame, pixel by pixel."""
    width = drawn.shape[-1]
    frame = torch.zeros(len(drawn), side, side, dtype=torch.float64)
    left, upper = ((1 + place) * side / 2 - width / 2).tolist()
    for row in range(side):
        for column in range(side):
            y, x = row - upper, column - left
            for i in range(width):
                for j in range(width):
                    share = max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j))
                    frame[:, row, column] += share * drawn[:, i, j]
    return frame


def test_places_are_those_of_a_slow_reference_inside_and_across_the_edges() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(2, 3, 4, 4, generator=generator, dtype=torch.float64)
    places = 2.4 * torch.rand(2, 3, 2, generator=generator, dtype=torch.float64) - 1.2
    found = placed(drawn, places, 8)
    assert found.shape == (2, 3, 3, 8, 8)
    for clip in range(2):
        for step in range(3):
            torch.testing.assert_close(found[clip, step], reference(drawn[clip], places[clip, step], 8))


@pytest.mark.parametrize("shift", [(0, 0), (5, -3), (-16, 16)])
def test_a_shift_by_whole_pixels_changes_no_pixel(shift: tuple[int, int]) -> None:
    drawn = torch.rand(1, 1, 32, 32)
    right, down = shift
    place = torch.tensor([[[2 * right / 64, 2 * down / 64]]])
    expected = torch.zeros(64, 64)
    expected[16 + down : 48 + down, 16 + right : 48 + right] = drawn[0, 0]
    torch.testing.assert_close(placed(drawn, place, 64)[0, 0, 0], expected, atol=1e-5, rtol=0)


def test_a_place_is_found_by_descent() -> None:
    pixels = torch.linspace(-1, 1, 32)
    blob = torch.exp(-4 * (pixels[:, None] ** 2 + pixels**2))[None, None]
    there = placed(blob, torch.tensor([[[0.4, -0.2]]]), 64)
    place = torch.zeros(1, 1, 2, requires_grad=True)
    optimiser = torch.optim.Adam([place], 0.02)
    for _ in range(100):
        optimiser.zero_grad()
        (placed(blob, place, 64) - there).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(place.detach(), torch.tensor([[[0.4, -0.2]]]), atol=0.01, rtol=0)
