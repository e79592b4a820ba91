"""Human actions: every clip of every take, with its labels, on the side the published split says."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.datasets.errors import DataError
from training.datasets.human_actions import ACTIONS, HumanActions

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "human_actions"
FIRST = {"wave_two_hands": 0, "wave_one_hand": 2, "jack": 4, "bend": 6}
TEST = {(0, 3), (0, 7), (1, 4), (1, 8), (2, 1), (2, 5), (3, 2), (3, 6)}
VALIDATION = {(0, 5), (1, 2), (2, 3), (3, 4)}


def length(number: int) -> int:
    """Frames of a drawn video: as many as its mirror's."""
    return 15 + number // 2 % 5


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each frame one colour: the video's number, the frame's, and 100."""
    folder = tmp_path_factory.mktemp("human_actions")
    for action, first in FIRST.items():
        (folder / action).mkdir()
        for number in (8 * person + first + mirror for person in range(9) for mirror in range(2)):
            strip = np.full((64, length(number), 64, 3), 100, np.uint8)
            strip[..., 0], strip[..., 1] = number, np.arange(length(number))[:, None]
            path = folder / action / f"{number:08d}.jpg"
            Image.fromarray(strip.reshape(64, -1, 3)).save(path, "PNG", compress_level=1)  # as published
    return folder


def test_clips_are_every_other_frame_from_every_start(drawn: Path) -> None:
    for split, videos in (("train", 48), ("validation", 8), ("test", 16)):
        data = HumanActions(drawn, split)
        clips = data.clips(torch.arange(len(data)))
        labels = data.labels(torch.arange(len(data)))
        assert clips.shape == (len(data), data.frames, *data.frame_shape) == (len(data), 8, 3, 64, 64)
        values = clips.mul(255).round().int()
        assert (values == values[..., :1, :1]).all()
        numbers, times, rest = values[..., 0, 0].unbind(2)
        assert (numbers == numbers[:, :1]).all()
        assert (times.diff(dim=1) == 2).all()
        assert (rest == 100).all()
        found = list(zip(numbers[:, 0].tolist(), times[:, 0].tolist(), strict=True))
        present = sorted(set(numbers[:, 0].tolist()))
        assert len(present) == videos
        assert sorted(found) == [(number, start) for number in present for start in range(length(number) - 14)]
        assert labels["person"].equal(numbers[:, 0].long() // 8)
        assert [FIRST[ACTIONS[action]] for action in labels["action"]] == (numbers[:, 0] % 8 // 2 * 2).tolist()


def test_companions_of_real_clips_do_what_they_do() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no human actions in {REAL}; set RWAE_DATA to the folder that holds human_actions/")
    data = HumanActions(REAL, "train")
    clips = torch.arange(0, len(data), 7)
    found = data.companions(clips, 20, torch.Generator().manual_seed(0))
    label, companions = data.labels(clips), data.labels(found.flatten())
    assert torch.equal(companions["action"].view_as(found), label["action"][:, None].expand_as(found))
    assert (companions["person"].view_as(found) != label["person"][:, None]).double().mean() > 0.5


def test_look_alikes_of_real_clips_are_the_same_person_doing_something_else() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no human actions in {REAL}; set RWAE_DATA to the folder that holds human_actions/")
    data = HumanActions(REAL, "train")
    clips = torch.arange(0, len(data), 7)
    found = data.look_alikes(clips, torch.Generator().manual_seed(0))
    label, other = data.labels(clips), data.labels(found)
    assert torch.equal(label["person"], other["person"])
    elsewhere = data.takes.take(found) != data.takes.take(clips)
    assert torch.equal(label["action"] != other["action"], elsewhere)
    assert elsewhere.double().mean() > 0.6, "some changed clothes, and have no look-alike"


def test_the_split_is_the_published_one(drawn: Path) -> None:
    pairs = {}
    for split in ("train", "validation", "test"):
        data = HumanActions(drawn, split)
        labels = data.labels(torch.arange(len(data)))
        pairs[split] = set(zip(labels["action"].tolist(), labels["person"].tolist(), strict=True))
    assert pairs["test"] == TEST
    assert pairs["validation"] == VALIDATION
    assert pairs["train"] == {(action, person) for action in range(4) for person in range(9)} - TEST - VALIDATION
    for _, person in TEST | VALIDATION:
        # In the clothes of the other three: people 0, 1, 3 and 6 wear others for jack.
        assert {action for action, other in pairs["train"] if other == person} - (
            {1} if person in (0, 1, 3, 6) else set()
        )
    assert {(1, person) for person in (0, 1, 3, 6)} <= pairs["train"]


def test_an_index_is_one_clip_in_any_batch(drawn: Path) -> None:
    data = HumanActions(drawn, "train")
    together = data.clips(torch.arange(len(data)))
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    assert data.clips(order).equal(together[order])
    assert data.clips(order[:1]).equal(together[order[:1]])


def test_clips_can_be_of_any_length_that_fits(drawn: Path) -> None:
    data = HumanActions(drawn, "train", frames=10)
    assert data.clips(torch.tensor([0])).shape[1] == 10
    numbers = data.clips(torch.arange(len(data)))[:, 0, 0, 0, 0].mul(255).round().int()
    assert all(length(number) == 19 for number in numbers.tolist())
    with pytest.raises(DataError, match=r"no video in .* is long enough for clips of 11 frames"):
        HumanActions(drawn, "train", frames=11)


def test_missing_and_damaged_videos_are_named(drawn: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="sergeytulyakov/mocogan"):
        HumanActions(None, "test")
    path = tmp_path / "bend" / "00000030.jpg"
    with pytest.raises(DataError, match=r"bend.00000030\.jpg is missing in .*sergeytulyakov/mocogan"):
        HumanActions(tmp_path, "test")
    path.parent.mkdir()
    path.write_bytes((drawn / "bend" / "00000030.jpg").read_bytes()[:300])
    with pytest.raises(DataError, match=r"bend.00000030\.jpg in .* cannot be read.*Fetch it again"):
        HumanActions(tmp_path, "test")
    Image.new("RGB", (640, 48)).save(path)
    with pytest.raises(DataError, match=r"bend.00000030\.jpg in .* is 640×48 pixels"):
        HumanActions(tmp_path, "test")


def test_the_real_videos_are_read() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no human actions in {REAL}; set RWAE_DATA to the folder that holds human_actions/")
    data = HumanActions(REAL, "test")
    labels = data.labels(torch.arange(len(data)))
    first = {}
    for index, pair in enumerate(zip(labels["action"].tolist(), labels["person"].tolist(), strict=True)):
        first.setdefault(pair, index)
    assert set(first) == TEST
    for (action, person), index in first.items():
        number = 8 * person + FIRST[ACTIONS[action]]
        with Image.open(REAL / ACTIONS[action] / f"{number:08d}.jpg") as image:
            strip = np.asarray(image.convert("RGB"))
        count = strip.shape[1] // 64 - 14
        clips = data.clips(torch.tensor([index, index + count - 1, index + count]))
        for clip, start in zip(clips, (0, count - 1, 0), strict=False):
            expected = np.stack([strip[:, 64 * frame : 64 * frame + 64] for frame in range(start, start + 16, 2)])
            assert (clip.mul(255).round().byte().permute(0, 2, 3, 1).numpy() == expected).all() or start == 0
        # The mirror follows its take.
        assert clips[2].flip(3).equal(clips[0])
