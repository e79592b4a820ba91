"""Moving shapes are what their labels say, as measured from the pixels; nothing here looks at how they are drawn."""

import math

import numpy as np
import pytest
import torch

from training.datasets.moving_shapes import COLOURS, DIRECTIONS, DYNAMICS, MOTIONS, SHAPES, SIZES, STATICS, MovingShapes

ALL = torch.arange(360)


@pytest.fixture(scope="module")
def clips() -> torch.Tensor:
    """One clip of every combination of the test split."""
    return MovingShapes(None, "test").clips(ALL)


def masses(clips: torch.Tensor) -> torch.Tensor:
    """How much of each pixel is covered: B, T, height, width."""
    return clips.amax(2)


def centres(clips: torch.Tensor) -> torch.Tensor:
    """Centre of mass, (x, y) in pixels: B, T, 2."""
    mass = masses(clips)
    pixel = torch.arange(64) + 0.5
    weighed = torch.stack([(mass.sum(2) * pixel).sum(2), (mass.sum(3) * pixel).sum(2)], 2)
    return weighed / mass.sum((2, 3))[..., None]


def test_each_split_has_every_combination_equally_often() -> None:
    for split, count in (("train", 20_160), ("validation", 1_080), ("test", 2_160)):
        data = MovingShapes(None, split)
        assert len(data) == count
        labels = data.labels(torch.arange(count))
        pairs = (labels["static"] * DYNAMICS + labels["dynamic"]).bincount(minlength=STATICS * DYNAMICS)
        assert (pairs == count // 360).all()
    for first in (0, 60, 300, 7):
        some = data.labels(torch.arange(first, first + 60))
        assert (some["static"].bincount(minlength=STATICS) == 2).all()
    assert (data.labels(torch.arange(60))["dynamic"].bincount(minlength=DYNAMICS) == 5).all()
    sizes = {"shape": SHAPES, "size": SIZES, "colour": COLOURS, "motion": MOTIONS, "direction": DIRECTIONS}
    found = MovingShapes(None, "test").labels(ALL)
    for name, values in sizes.items():
        assert (found[name].bincount() == 360 // len(values)).all()
    assert found["static"].equal((found["shape"] * 2 + found["size"]) * 5 + found["colour"])
    assert found["dynamic"].equal(found["motion"] * 4 + found["direction"])


def test_dynamic_labels_can_be_read_from_the_pixels(clips: torch.Tensor) -> None:
    labels = MovingShapes(None, "test").labels(ALL)
    path = centres(clips)
    steps = path.diff(dim=1)
    for index in range(360):
        x, y = (path[index, -1] - path[index, 0]).tolist()
        turns = (steps[index, 1:] - steps[index, :-1]).norm(dim=1).max()
        motion = 0 if turns > 0.5 else 1 if min(abs(x), abs(y)) < 1 else 2
        if motion == 2:
            direction = {(1, 1): 0, (-1, 1): 1, (-1, -1): 2, (1, -1): 3}[int(np.sign(x)), int(np.sign(y))]
        elif abs(x) > abs(y):
            direction = 0 if x > 0 else 2
        else:
            direction = 1 if y > 0 else 3
        assert (motion, direction) == (labels["motion"][index], labels["direction"][index])


def test_speeds_are_as_stated(clips: torch.Tensor) -> None:
    labels = MovingShapes(None, "test").labels(ALL)
    steps = centres(clips).diff(dim=1)
    steady = labels["motion"] != 0
    speeds = steps[steady].norm(dim=2)
    assert (speeds - speeds.mean(1, keepdim=True)).abs().max() < 0.1
    assert 1.2 < speeds.mean(1).min() < 1.35
    assert 2.15 < speeds.mean(1).max() < 2.3
    along = torch.where((labels["direction"] % 2 == 0)[:, None], steps[..., 0], steps[..., 1])[~steady].abs()
    assert (along - along.mean(1, keepdim=True)).abs().max() < 0.1
    aside = torch.where((labels["direction"] % 2 == 0)[:, None], steps[..., 1], steps[..., 0])[~steady]
    assert (aside.cumsum(1).amax(1) - aside.cumsum(1).amin(1) > 3).all()
    assert ((aside.sign().diff(dim=1) != 0).sum(1) >= 3).all()


def test_static_labels_can_be_read_from_the_pixels(clips: torch.Tensor) -> None:
    labels = MovingShapes(None, "test").labels(ALL)
    rgb = [[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0]]
    assert (clips.amax((1, 3, 4)) == torch.tensor(rgb)[labels["colour"]]).all()
    mass = masses(clips)
    area = mass.sum((2, 3))
    expected = math.pi * torch.tensor([4.5, 8.0])[labels["size"]] ** 2
    assert ((area / expected[:, None] - 1).abs() < 0.03).all()
    # A shape's share of its box: π/4, 1 and 1/2; a faint edge pixel is not yet its box's.
    box = (mass.amax(2) > 0.5).sum(2) * (mass.amax(3) > 0.5).sum(2)
    share = (area / box).mean(1)
    nearest = (share[:, None] - torch.tensor([math.pi / 4, 1.0, 0.5])).abs().argmin(1)
    assert nearest.equal(labels["shape"])


def test_edges_are_the_covered_share_of_a_pixel(clips: torch.Tensor) -> None:
    """Against counting 16 × 16 points in each pixel."""
    data = MovingShapes(None, "test")
    labels, places = data.labels(ALL), data.positions(ALL).double()
    points = (torch.arange(64 * 16, dtype=torch.float64) + 0.5) / 16
    for index in range(0, 360, 7):
        r = (4.5, 8.0)[labels["size"][index]]
        x, y = (points[None, :] - places[index, 5, 0]), (points[:, None] - places[index, 5, 1])
        if labels["shape"][index] == 0:
            inside = x**2 + y**2 < r**2
        elif labels["shape"][index] == 1:
            half = math.sqrt(math.pi * r**2) / 2
            inside = (x.abs() < half) & (y.abs() < half)
        else:
            side = math.sqrt(4 * math.pi * r**2 / math.sqrt(3))
            height = side * math.sqrt(3) / 2
            fallen = y + 2 * height / 3  # below the tip
            inside = (fallen > 0) & (fallen < height) & (x.abs() < fallen / height * side / 2)
        expected = inside.double().unflatten(0, (64, 16)).unflatten(2, (64, 16)).mean((1, 3))
        difference = (masses(clips[index : index + 1])[0, 5] - expected).abs()
        assert difference.max() < (0.35 if labels["shape"][index] == 2 else 0.07)  # a triangle's tip is sharp
        assert difference.sum() / expected.sum() < 0.025


def test_shapes_stay_inside_for_16_frames_and_whole_for_ever(clips: torch.Tensor) -> None:
    border = masses(clips)
    assert max(edge.max() for edge in (border[..., 0, :], border[..., -1, :], border[..., 0], border[..., -1])) < 0.05
    starts = centres(clips)[:, 0]
    assert starts.amin(0).max() < 12
    assert starts.amax(0).min() > 52
    longer = MovingShapes(None, "test", frames=100).clips(ALL[::9])
    area = masses(longer).sum((2, 3))
    assert (area / area.mean(1, keepdim=True) - 1).abs().max() < 0.05


def test_an_index_is_one_clip_in_any_batch_and_for_any_number_of_frames(clips: torch.Tensor) -> None:
    data = MovingShapes(None, "test")
    assert clips.shape == (360, data.frames, *data.frame_shape)
    order = torch.randperm(360, generator=torch.Generator().manual_seed(0))[:100]
    assert data.clips(order).equal(clips[order])
    assert data.clips(order[:1]).equal(clips[order[:1]])
    for frames in (1, 8, 40):
        other = MovingShapes(None, "test", frames=frames).clips(order[:30])
        assert other[:, :16].equal(clips[order[:30], :frames])
    assert 0 <= clips.min() <= clips.max() <= 1


def test_splits_are_drawn_apart() -> None:
    starts = [
        MovingShapes(None, split).positions(torch.arange(1080))[:, 0] for split in ("train", "validation", "test")
    ]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert torch.cdist(starts[one], starts[other]).diagonal().min() > 1e-3
