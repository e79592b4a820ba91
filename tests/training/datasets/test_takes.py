"""Which takes move alike, and that a clip's companions are of those."""

import pytest
import torch

from training.datasets.takes import ALIKE, PLACES, Takes, likenesses, moving

FRAMES, SIDE = 24, 64


def take(kind: str, *, shift: int = 0, mirrored: bool = False, light: float = 1.0, seed: int = 0) -> torch.Tensor:
    """A bar on a wall of noise that goes up and down, or back and forth, or a spot that blinks."""
    generator = torch.Generator().manual_seed(seed)
    film = (60 * torch.rand(1, 3, SIDE, SIDE, generator=generator)).repeat(FRAMES, 1, 1, 1)
    for number in range(FRAMES):
        place = 20 + 2 * abs(number % 16 - 8)
        if kind == "up and down":
            film[number, :, place : place + 4, 8 + shift : 40 + shift] = 180
        elif kind == "back and forth":
            film[number, :, 8 : 40 + shift, place : place + 4] = 180
        elif number % 4 < 2:
            film[number, :, 40:50, 40 + shift : 50 + shift] = 180
    film = film.flip(-1) if mirrored else film
    return (film * light).round().byte()


KINDS = ("up and down", "back and forth", "blinks")


@pytest.fixture(scope="module")
def takes() -> Takes:
    """Six takes of each kind, nowhere and never the same."""
    found = [
        take(kind, shift=2 * number, mirrored=number % 2 == 1, light=1 - number / 12, seed=number)
        for kind in KINDS
        for number in range(6)
    ]
    return Takes(found, frames=8)


def test_a_picture_of_movement_is_where_it_moves_whatever_the_wall_and_the_light() -> None:
    picture = moving(take("blinks"), 2)
    assert picture.shape == (PLACES, PLACES)
    assert picture.norm().item() == pytest.approx(1, abs=1e-5)
    rows, columns = (picture > 0.1).nonzero(as_tuple=True)
    assert {int(each) for each in (*rows, *columns)} <= {10, 11, 12}
    torch.testing.assert_close(moving(take("blinks", light=0.5, seed=3), 2), picture, atol=0.05, rtol=0)
    assert not moving(take("blinks")[:1].expand(FRAMES, -1, -1, -1), 2).any()


def test_likeness_is_the_best_cosine_of_all_shifts_and_mirrored() -> None:
    pictures = torch.rand(3, PLACES, PLACES, generator=torch.Generator().manual_seed(0))
    pictures = pictures / pictures.flatten(1).norm(dim=1)[:, None, None]
    best = -1.0
    for other in (pictures[1], pictures[1].flip(-1)):
        for down in range(-4, 5):
            for right in range(-4, 5):
                rows, columns = (slice(max(0, d), PLACES + min(0, d)) for d in (down, right))
                back = [slice(max(0, -d), PLACES + min(0, -d)) for d in (down, right)]
                best = max(best, (pictures[0][rows, columns] * other[back[0], back[1]]).sum().item())
    found = likenesses(pictures)
    assert found[0, 1].item() == pytest.approx(best, abs=1e-5)
    torch.testing.assert_close(found.diagonal(), torch.ones(3))


def test_companions_are_of_takes_that_move_alike_all_as_probable(takes: Takes) -> None:
    clips = torch.arange(len(takes))
    found = takes.companions(clips, 60, torch.Generator().manual_seed(0))
    assert found.shape == (len(takes), 60)
    take, other = takes.take(clips), takes.take(found.flatten()).view_as(found)
    assert torch.equal(other // 6, (take // 6)[:, None].expand_as(other)), "each kind is six takes in a row"
    for index in range(18):
        drawn = other[take == index].flatten().bincount(minlength=18)
        drawn = drawn[drawn > 0].double()
        assert len(drawn) == 1 + ALIKE
        assert drawn.max() < 2 * drawn.min()
    again = takes.companions(clips, 60, torch.Generator().manual_seed(0))
    assert torch.equal(found, again)


def test_a_take_that_is_too_short_for_a_clip_is_nobodys_companion() -> None:
    takes = Takes([take("blinks"), take("blinks", seed=1)[:10], take("blinks", seed=2)], frames=8)
    found = takes.companions(torch.arange(len(takes)), 40, torch.Generator().manual_seed(0))
    assert set(takes.take(found.flatten()).tolist()) == {0, 2}
