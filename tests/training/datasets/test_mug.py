"""MUG: a small tree in the distributed layout, made here, for the data itself is licensed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.datasets.errors import DataError
from training.datasets.mug import EXPRESSIONS, MUG

SUBJECTS = ("001", "002", "010")
LENGTH = 21


def draw(take: Path, subject: int, expression: int, nth: int, length: int = LENGTH) -> None:
    """A take: its subject, expression and number are grey levels of the face, time is a level of red beside it."""
    take.mkdir(parents=True)
    for time in range(length):
        frame = np.zeros((112, 112, 3), np.uint8)
        frame[28:84, 28:84] = (8 * time, 50 + 40 * subject, 40 * expression + 10 * nth)
        Image.fromarray(frame).save(take / f"img_{time:04d}.jpg", quality=95, subsampling=0)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """3 subjects × 6 expressions × 3 takes; one subject came for two sessions; and what is no take of the six."""
    folder = tmp_path_factory.mktemp("mug")
    for subject, name in enumerate(SUBJECTS):
        for expression, word in enumerate(EXPRESSIONS):
            for nth in range(3):
                session = "" if name != "002" else f"session{nth % 2}"
                short = (name, word, nth) == ("001", "anger", 0)
                take = folder / "subjects3" / name / session / word / f"take{nth:03d}"
                draw(take, subject, expression, nth, 5 if short else LENGTH)
    draw(folder / "subjects3" / "001" / "neutral" / "take000", 0, 0, 0, 2)
    draw(folder / "subjects3" / "001" / "anger" / "take000_end", 0, 0, 0, 2)
    (folder / "subjects3" / "001" / "anger" / "take001" / "Thumbs.db").write_bytes(b"")
    return folder


def test_splits_share_no_take_and_miss_none(tree: Path) -> None:
    seen = []
    for split, counts in (("test", 12), ("validation", 6), ("train", 36)):  # of 9 an expression: 2, 1 and 6
        data = MUG(tree, split)
        labels = data.labels(torch.arange(len(data)))
        clips = data.clips(torch.arange(len(data)))
        assert clips.shape == (len(data), data.frames, *data.frame_shape) == (len(data), 10, 3, 64, 64)
        assert data.subjects == SUBJECTS
        times, subjects, marks = clips.mul(255).mean((3, 4)).unbind(2)
        assert (times.diff(dim=1) - 16).abs().max() < 4
        assert (subjects - 50 - 40 * labels["subject"][:, None]).abs().max() < 4
        nth = (marks.mean(1) - 40 * labels["expression"]) / 10
        assert (nth - nth.round()).abs().max() < 0.4
        assert clips.std((3, 4)).max() < 0.02  # nothing but the face
        starts = times[:, 0].div(8).round().int().tolist()
        takes = list(
            zip(labels["subject"].tolist(), labels["expression"].tolist(), nth.round().int().tolist(), strict=True)
        )
        assert all(count == 3 for count in map(takes.count, set(takes)))  # 21 frames: starts 0, 1 and 2
        assert sorted(zip(takes, starts, strict=True)) == [
            (take, start) for take in sorted(set(takes)) for start in range(3)
        ]
        short = (0, 0, 0)
        assert short not in takes
        assert len(set(takes)) in (counts, counts - 1)
        seen += sorted(set(takes))
    everything = {(subject, expression, nth) for subject in range(3) for expression in range(6) for nth in range(3)}
    assert len(seen) == len(set(seen)) == 53
    assert set(seen) == everything - {(0, 0, 0)}


def test_an_index_is_one_clip_in_any_batch(tree: Path) -> None:
    data = MUG(tree / "subjects3", "train", frames=4)
    together = data.clips(torch.arange(len(data)))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    assert data.clips(order).equal(together[order])
    assert MUG(tree, "train", frames=4).clips(order[:3]).equal(together[order[:3]])


def test_the_crop_is_where_it_is_asked_for(tmp_path: Path) -> None:
    for nth in range(5):
        (tmp_path / "001" / "fear" / f"take{nth:03d}").mkdir(parents=True)
        for time in range(3):
            # Each quarter of a MUG frame is one grey.
            frame = np.zeros((2, 448, 2, 448, 3), np.uint8)
            frame[0, :, 0], frame[0, :, 1], frame[1, :, 0], frame[1, :, 1] = 30, 90, 150, 210
            path = tmp_path / "001" / "fear" / f"take{nth:03d}" / f"{time}.jpg"
            Image.fromarray(frame.reshape(896, 896, 3)).save(path, quality=95)
    whole, corner = (
        MUG(tmp_path, "train", frames=2, face=face).clips(torch.tensor([0]))[0, 0, 0].mul(255)
        for face in ((0.0, 0.0, 1.0, 1.0), (0.5, 0.0, 1.0, 0.5))
    )
    assert [whole[y, x].round().item() for y in (8, 56) for x in (8, 56)] == pytest.approx([30, 90, 150, 210], abs=1)
    assert (corner[:-4, 4:] - 90).abs().max() <= 2
    centre = MUG(tmp_path, "train", frames=2).clips(torch.tensor([0]))[0, 0, 0].mul(255)
    assert [centre[y, x].round().item() for y in (8, 56) for x in (8, 56)] == pytest.approx([30, 90, 150, 210], abs=1)


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"mug\.ee\.auth\.gr"):
        MUG(None, "train")
    with pytest.raises(DataError, match=r"nowhere is not a folder.*mug\.ee\.auth\.gr"):
        MUG(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match=r"holds no takes for train.*take<nnn>"):
        MUG(tmp_path, "train")
    for nth in range(4):
        draw(tmp_path / "004" / "sadness" / f"take{nth:03d}", 0, 4, nth)
    with pytest.raises(DataError, match=r"no take of train in .* is long enough for clips of 12 frames"):
        MUG(tmp_path, "train", frames=12)
    takes = sorted((tmp_path / "004" / "sadness").iterdir())
    for take in takes:
        (take / "img_0007.jpg").unlink()
    with pytest.raises(DataError, match=r"frame 7, after 004.sadness.take\d+.img_0006\.jpg in .*, is missing"):
        MUG(tmp_path, "train")
    for take in takes:
        (take / "img_0007.jpg").write_bytes((take / "img_0006.jpg").read_bytes()[:200])
    with pytest.raises(DataError, match=r"004.sadness.take\d+.img_0007\.jpg in .* cannot be read.*remove its take"):
        MUG(tmp_path, "train")
    for take in takes:
        for frame in take.iterdir():
            frame.unlink()
    with pytest.raises(DataError, match=r"004.sadness.take\d+ in .* holds no frames"):
        MUG(tmp_path, "train")
