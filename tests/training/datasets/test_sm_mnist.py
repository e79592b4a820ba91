"""Stochastic Moving MNIST: its physics against a slow one, its pictures against numpy's, its files against damage."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.datasets.test_uniform import nth
from training.datasets.errors import DataError
from training.datasets.sm_mnist import SMMNIST

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "mnist"
SEEDS = {"train": 0, "validation": 1, "test": 2}


def write(path: Path, magic: int, items: np.ndarray) -> None:
    """An idx file of these bytes."""
    data = struct.pack(f">{1 + items.ndim}i", magic, *items.shape) + items.tobytes()
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)


@pytest.fixture(scope="session")
def drawn_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise for digits, some files raw and some packed."""
    folder = tmp_path_factory.mktemp("mnist")
    random = np.random.RandomState(0)
    for prefix, count, packed in (("train", 5400, ""), ("t10k", 300, ".gz")):
        images = random.randint(0, 256, (count, 28, 28)).astype(np.uint8)
        write(folder / f"{prefix}-images-idx3-ubyte{packed}", 2051, images)
        write(folder / f"{prefix}-labels-idx1-ubyte{packed}", 2049, random.randint(0, 10, count).astype(np.uint8))
    return folder


@pytest.fixture(scope="session", params=["drawn", "real"])
def mnist(request: pytest.FixtureRequest) -> Path:
    """Both, one after the other."""
    if request.param == "real" and not REAL.is_dir():
        pytest.skip(f"no MNIST in {REAL}; set RWAE_DATA to the folder that holds mnist/")
    return REAL if request.param == "real" else request.getfixturevalue("drawn_mnist")


def raw(folder: Path, name: str, header: int) -> np.ndarray:
    """The bytes after an idx file's header, read without the loader."""
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.is_file() else (folder / name).read_bytes()
    return np.frombuffer(data, np.uint8, offset=header)


def slow_positions(seed: int, index: int, frames: int) -> list[tuple[int, int]]:
    """One digit's places, a number at a time."""

    def draw(number: int, low: int, high: int) -> int:
        return low + (nth(nth(index, seed), number) >> 32) * (high - low + 1) // 2**32

    place = [draw(0, 0, 36), draw(1, 0, 36)]
    velocity = [draw(2, -4, 4), draw(3, -4, 4)]
    places = []
    for t in range(frames):
        hit = [0, 0]
        for axis in range(2):
            if place[axis] <= 0:
                place[axis], hit[axis] = 0, 1
            elif place[axis] >= 36:
                place[axis], hit[axis] = 36, -1
        if any(hit):
            for axis in range(2):
                anywhere, inside = draw(4 + 4 * t + axis, -4, 4), draw(6 + 4 * t + axis, 1, 4)
                velocity[axis] = hit[axis] * inside if hit[axis] else anywhere
        places.append((place[0], place[1]))
        place = [place[0] + velocity[0], place[1] + velocity[1]]
    return places


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_digits_move_as_in_a_slow_simulation(drawn_mnist: Path, split: str) -> None:
    data = SMMNIST(drawn_mnist, split, frames=100)
    indices = torch.arange(0, 300, 3)
    found = data.positions(indices).tolist()
    for index, places in zip(indices.tolist(), found, strict=True):
        assert [tuple(place) for place in places] == slow_positions(SEEDS[split], index, 100)


def test_speed_is_constant_between_bounces_and_digits_stay_inside(drawn_mnist: Path) -> None:
    """Over 30,000 frames, from the positions alone."""
    places = SMMNIST(drawn_mnist, "test", frames=100).positions(torch.arange(300))
    assert places.min() == 0
    assert places.max() == 36
    steps = places.diff(dim=1)
    assert steps.abs().max() == 4
    before, after, at = steps[:, :-1], steps[:, 1:], places[:, 1:-1]
    low, high = at == 0, at == 36
    bounced = (low | high).any(2)
    # Without a bounce in the middle the two steps are one velocity, or the second one was cut short by a wall.
    ends = places[:, 2:]
    arrives = ((ends == 0) | (ends == 36)).any(2)
    straight = ~bounced & ~arrives
    assert (before == after)[straight].all()
    cut = ~bounced & arrives
    assert (after.abs() <= before.abs())[cut].all()
    assert (after * before >= 0)[cut].all()
    assert ((before == after) | (ends == 0) | (ends == 36))[cut].all()
    # After it, away from the wall, at every one of the speeds, the other component at any.
    assert (after[low] >= 0).all()
    assert (after[high] <= 0).all()
    assert straight.float().mean() > 0.5
    free = ~((ends == 0) | (ends == 36))
    assert set(after[low & free].tolist()) == {1, 2, 3, 4}
    assert set(after[high & free].tolist()) == {-4, -3, -2, -1}
    along = (low | high).flip(2) & ~(low | high) & free
    assert set(after[along].tolist()) == set(range(-4, 5))


def test_frames_equal_a_composition_with_numpy(mnist: Path) -> None:
    data = SMMNIST(mnist, "train", frames=12)
    indices = torch.randint(len(data), (100,), generator=torch.Generator().manual_seed(0))
    images = raw(mnist, "train-images-idx3-ubyte", 16).reshape(-1, 28, 28)
    digits = raw(mnist, "train-labels-idx1-ubyte", 8)
    clips = data.clips(indices)
    assert clips.shape == (100, data.frames, *data.frame_shape)
    assert data.labels(indices)["digit"].tolist() == digits[indices.numpy()].tolist()
    for clip, index in zip(clips.numpy(), indices.tolist(), strict=True):
        expected = np.zeros((12, 64, 64), np.float32)
        for frame, (x, y) in zip(expected, slow_positions(SEEDS["train"], index, 12), strict=True):
            frame[y : y + 28, x : x + 28] = images[index] / np.float32(255)
        assert (clip[:, 0] == expected).all()


def test_splits_share_no_digit(mnist: Path) -> None:
    splits = {name: SMMNIST(mnist, name) for name in ("train", "validation", "test")}
    count = len(raw(mnist, "train-labels-idx1-ubyte", 8))
    assert {name: len(split) for name, split in splits.items()} == {
        "train": count - 5000,
        "validation": 5000,
        "test": len(raw(mnist, "t10k-labels-idx1-ubyte", 8)),
    }
    images = raw(mnist, "train-images-idx3-ubyte", 16).reshape(-1, 28, 28)
    assert (torch.cat([splits["train"].digits, splits["validation"].digits]).numpy() == images).all()
    for name, prefix, first in (("validation", "train", count - 5000), ("test", "t10k", 0)):
        digits = raw(mnist, f"{prefix}-labels-idx1-ubyte", 8)[first:]
        assert splits[name].labels(torch.arange(len(splits[name])))["digit"].tolist() == digits.tolist()
    paths = [split.positions(torch.arange(100)) for split in splits.values()]
    assert not paths[0].equal(paths[1])
    assert not paths[1].equal(paths[2])


def test_an_index_is_one_clip_in_any_batch_and_for_any_number_of_frames(drawn_mnist: Path) -> None:
    data = SMMNIST(drawn_mnist, "train")
    order = torch.randperm(400, generator=torch.Generator().manual_seed(0))
    together = data.clips(torch.arange(400))
    assert data.clips(order).equal(together[order])
    assert data.clips(order[:1]).equal(together[order[:1]])
    longer = SMMNIST(drawn_mnist, "train", frames=100)
    assert longer.clips(order[:20])[:, :8].equal(together[order[:20]])
    assert SMMNIST(drawn_mnist, "train", frames=1).clips(order[:20]).equal(together[order[:20], :1])


def test_missing_and_damaged_files_are_named(drawn_mnist: Path, tmp_path: Path) -> None:
    images, labels = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
    with pytest.raises(DataError, match=r"point --data at"):
        SMMNIST(None, "test")
    with pytest.raises(DataError, match=rf"{images} is missing, and so is {images}\.gz.*LeCun"):
        SMMNIST(tmp_path, "test")
    whole = (drawn_mnist / f"{images}.gz").read_bytes()
    (tmp_path / f"{images}.gz").write_bytes(whole[:1000])
    with pytest.raises(DataError, match=rf"{images}\.gz cannot be read.*Fetch it again"):
        SMMNIST(tmp_path, "test")
    (tmp_path / f"{images}.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=rf"{images}\.gz cannot be read"):
        SMMNIST(tmp_path, "test")
    (tmp_path / images).write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=rf"{images} is not an idx file"):
        SMMNIST(tmp_path, "test")
    (tmp_path / images).write_bytes(b"")
    with pytest.raises(DataError, match=rf"{images} is not an idx file"):
        SMMNIST(tmp_path, "test")
    write(tmp_path / images, 2051, np.zeros((10, 32, 32), np.uint8))
    with pytest.raises(DataError, match=r"shape \(32, 32\), not \(28, 28\)"):
        SMMNIST(tmp_path, "test")
    (tmp_path / images).write_bytes(gzip.decompress(whole)[:-1])
    with pytest.raises(DataError, match=r"holds 235215 bytes, not the 235216"):
        SMMNIST(tmp_path, "test")
    (tmp_path / images).write_bytes(gzip.decompress(whole))
    write(tmp_path / labels, 2051, np.zeros(300, np.uint8))
    with pytest.raises(DataError, match=rf"{labels} is not an idx file"):
        SMMNIST(tmp_path, "test")
    write(tmp_path / labels, 2049, np.zeros(299, np.uint8))
    with pytest.raises(DataError, match="300 t10k images and 299 labels"):
        SMMNIST(tmp_path, "test")
    write(tmp_path / "train-images-idx3-ubyte", 2051, np.zeros((5000, 28, 28), np.uint8))
    write(tmp_path / "train-labels-idx1-ubyte", 2049, np.zeros(5000, np.uint8))
    with pytest.raises(DataError, match="5000 training digits; 5000 are for validation"):
        SMMNIST(tmp_path, "train")
