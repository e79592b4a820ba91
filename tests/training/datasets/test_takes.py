"""Which takes move alike and which look alike, and that a clip's companions and look-alikes are of those."""

import pytest
import torch

from training.datasets.takes import ALIKE, PLACES, Takes, colours, likenesses, moving

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


def test_colours_are_compared_by_the_bhattacharyya_coefficient() -> None:
    one, other = take("blinks"), take("back and forth", seed=3)

    def shares(film: torch.Tensor) -> dict[tuple[int, ...], float]:
        pixels = film.movedim(1, -1).reshape(-1, 3).tolist()
        counts: dict[tuple[int, ...], int] = {}
        for pixel in pixels:
            shade = tuple(value // 32 for value in pixel)
            counts[shade] = counts.get(shade, 0) + 1
        return {shade: count / len(pixels) for shade, count in counts.items()}

    ours, theirs = shares(one), shares(other)
    expected = sum((share * theirs.get(shade, 0)) ** 0.5 for shade, share in ours.items())
    assert (colours(one) @ colours(other)).item() == pytest.approx(expected, abs=1e-4)
    assert (colours(one) @ colours(one.flip(-1))).item() == pytest.approx(1, abs=1e-5)
    assert (colours(one) @ colours(255 - one)).item() < 0.1


def coloured(kind: str, colour: int, seed: int) -> torch.Tensor:
    """A take whose wall has one of a few tints."""
    film = take(kind, seed=seed).float()
    tint = torch.tensor([(1.0, 0.4, 0.4), (0.4, 1.0, 0.4), (0.4, 0.4, 1.0), (1.0, 1.0, 0.2)][colour])
    return (film * tint[:, None, None]).round().byte()


def test_look_alikes_are_of_takes_that_look_alike_and_do_something_else() -> None:
    # Six of a kind, so that those that move alike are told by how they move; three tints have both kinds, one has one.
    kinds = [(kind, colour) for kind in KINDS[:2] for colour in (0, 0, 1, 1, 2, 2)] + [("blinks", 3)] * 6
    takes = Takes([coloured(kind, colour, seed) for seed, (kind, colour) in enumerate(kinds)], frames=8)
    clips = torch.arange(len(takes)).repeat(20)
    found = takes.look_alikes(clips, torch.Generator().manual_seed(0))
    of, to = takes.take(clips), takes.take(found)
    for one, other in zip(of.tolist(), to.tolist(), strict=True):
        assert kinds[other][1] == kinds[one][1]
        if kinds[one][1] < 3:
            assert kinds[other][0] != kinds[one][0]
        else:
            assert other == one, "what nothing else looks like is its own look-alike"
    for take in range(12):
        assert len(to[of == take].unique()) == 2
        assert len(found[of == take].unique()) > 8
    assert torch.equal(found, takes.look_alikes(clips, torch.Generator().manual_seed(0)))
