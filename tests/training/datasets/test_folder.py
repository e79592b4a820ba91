"""A folder of clips of one's own: mixed kinds, sizes and rates, some of them no clips at all."""

import io
import os
import shutil
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

from rwae_core.media.encode import VideoFormat, encode_video
from rwae_core.media.pool import MediaPool
from rwae_core.weights import load_weights
from training import export, train
from training.datasets import Dataset, decoded
from training.datasets.catalogue import open_dataset
from training.datasets.errors import DataError
from training.datasets.folder import FolderDataset
from training.datasets.own_files import of_split

from ..test_train import JOINT

FORMATS: tuple[VideoFormat, ...] = ("mp4", "gif", "webm", "apng")
SIZES = ((24, 32), (40, 24), (64, 64), (48, 96))
RATES = (5, 8, 12, 20, 25, 50)
SPLITS = ("train", "validation", "test")
CORRUPT = {"a/truncated.mp4", "a/random.webm", "text.mp4"}


def draw(number: int, length: int, size: tuple[int, int] = (64, 64)) -> np.ndarray:
    """A clip of one colour a frame: the clip's number in red, time in green."""
    frames = np.full((length, *size, 3), 90, np.uint8)
    frames[..., 0], frames[..., 1] = 10 * number, 10 * np.arange(length)[:, None, None]
    return frames


def number_of(name: str) -> int:
    return int(Path(name).stem)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 files of which 3 are corrupt, and what is no clip by its name; each clip's red is its number."""
    folder = tmp_path_factory.mktemp("clips")
    for number in range(21):
        kind, size = FORMATS[number % 4], SIZES[number // 4 % 4]
        path = folder / ("a", "b/c", ".")[number % 3] / f"{number}.{kind.replace('apng', 'png')}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_video(draw(number, 10 + number % 3, size), RATES[number % 6], kind))
    whole = encode_video(draw(1, 12), 8, "mp4")
    (folder / "a" / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "a" / "random.webm").write_bytes(np.random.RandomState(0).bytes(2000))
    (folder / "text.mp4").write_text("not a clip\n" * 100)
    (folder / ".DS_Store").write_bytes(b"hidden")
    FolderDataset(folder, "train")
    return folder


@pytest.fixture
def clips(written: Path, tmp_path: Path) -> Path:
    """A copy to change, with what was decoded before."""
    return shutil.copytree(written, tmp_path / "clips")


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("something was decoded")

    monkeypatch.setattr(MediaPool, "__init__", started)


def table(folder: Path, *lines: str) -> None:
    (folder / "labels.csv").write_text("".join(line + "\n" for line in lines), encoding="utf-8-sig")


@pytest.mark.usefixtures("no_decoding")
def test_corrupt_files_are_named_and_the_rest_is_loaded(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = FolderDataset(clips, "train")
    assert isinstance(data, Dataset)
    assert set(data.skipped) == CORRUPT
    printed = capsys.readouterr().err
    assert "3 of 24 files" in printed
    assert all(f"{name}: The file" in printed for name in CORRUPT)
    found = []
    for split in SPLITS:
        data = FolderDataset(clips, split)
        found += data.files
        batch = data.clips(torch.arange(len(data)))
        assert batch.shape == (len(data), 8, 3, 64, 64)
        red, green, blue = batch.mul(255).mean((3, 4)).unbind(2)
        numbers = data.takes.take(torch.arange(len(data)))
        expected = torch.tensor([10 * number_of(data.files[take]) for take in numbers])
        assert (red - expected[:, None]).abs().max() < 6
        assert (blue - 90).abs().max() < 6
        assert (green.diff(dim=1) - 10).abs().max() < 6  # at most 12 frames: none can be left out
        assert set(numbers.tolist()) == set(range(len(data.files)))
        starts = green[:, 0].div(10).round().int().tolist()
        assert [starts[numbers.tolist().index(take)] for take in range(len(data.files))] == [0] * len(data.files)
    assert sorted(map(number_of, found)) == list(range(21))


def test_files_are_taken_at_about_one_pace(tmp_path: Path) -> None:
    """Lossless, so that a clip's frames are known by their values."""
    for number, (rate, length) in enumerate([(12, 10), (25, 20), (50, 20), (50, 40)]):
        frames = draw(number, 1)[:, :32, :32].repeat(length, 0)
        frames[..., 2] = 5 * np.arange(length)[:, None, None]
        (tmp_path / f"{number}.png").write_bytes(encode_video(frames, rate, "apng"))
    steps = {}
    for split in ("train", "validation"):
        data = FolderDataset(tmp_path, split, frames=8, frame_shape=(1, 32, 32))
        assert data.frame_shape == (1, 32, 32)
        assert data.fps == 12.5  # of 12, 12.5, 25 and 12.5
        grey = data.clips(torch.arange(len(data)))[:, :, 0, 0, 0]
        takes = data.takes.take(torch.arange(len(data))).tolist()
        for take, name in enumerate(data.files):
            first = grey[takes.index(take)].mul(255)
            steps[name] = round((first[-1] - first[0]).item() / 7 / (5 * 0.114))  # blue's part of luma
            length = (10, 20, 20, 40)[number_of(name)]
            assert takes.count(take) == length - 7 * steps[name]
    assert steps == {"0.png": 1, "1.png": 2, "2.png": 2, "3.png": 4}


def test_what_changed_is_decoded_anew_and_what_is_gone_disappears(clips: Path) -> None:
    (kept,) = (clips / decoded.BESIDE).iterdir()
    before = {entry.name: entry.stat().st_mtime_ns for entry in kept.iterdir()}
    assert len(before) == 24  # what is corrupt is known, too
    (clips / "a" / "0.mp4").unlink()
    (clips / "text.mp4").write_bytes(encode_video(draw(21, 9), 8, "gif"))
    (clips / "21.gif").write_bytes((clips / "text.mp4").read_bytes())
    changed, damaged = clips / "a" / "3.png", sorted(kept.iterdir())[:5]
    changed.write_bytes(encode_video(draw(22, 9), 8, "apng"))
    damaged[0].write_bytes(damaged[0].read_bytes()[:-100])
    damaged[1].write_bytes(b"")
    data = bytearray(damaged[2].read_bytes())
    data[-1] ^= 1
    damaged[2].write_bytes(data)
    seen = {}
    for split in SPLITS:
        opened = FolderDataset(clips, split)
        for take, name in enumerate(opened.files):
            index = (opened.takes.take(torch.arange(len(opened))) == take).nonzero()[0]
            seen[name] = round(opened.clips(index)[0, 0, 0].mean().item() * 25.5)
        assert set(opened.skipped) == CORRUPT - {"text.mp4"}
    assert seen.pop("a/3.png") == 22
    assert seen.pop("text.mp4") == seen.pop("21.gif") == 21
    assert seen == {name: number_of(name) for name in seen}
    assert len(seen) == 19
    after = {entry.name: entry.stat().st_mtime_ns for entry in kept.iterdir()}
    assert len(after) == 24
    again = {entry.name for entry in damaged[:3]}
    assert {name for name in after.keys() & before.keys() if after[name] != before[name]} <= again
    assert len(after.keys() & before.keys()) >= 21


def test_where_the_folder_cannot_be_written_the_users_cache_is(
    written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "CACHE", tmp_path / "cache")
    folder = tmp_path / "clips"
    folder.mkdir()
    for name in ("a/3.png", "a/0.mp4"):
        shutil.copy(written / name, folder)
    (folder / decoded.BESIDE).write_text("in the way")
    first = FolderDataset(folder, "train")
    assert len([*(tmp_path / "cache").rglob("*.safetensors")]) == 2
    monkeypatch.setattr(MediaPool, "decode_video", None)
    assert FolderDataset(folder, "train").takes.pixels.equal(first.takes.pixels)


def test_splits_are_disjoint_stable_and_never_empty() -> None:
    names = [f"{i}/{i * i}.mp4" for i in range(1000)]
    sides = {name: split for split in SPLITS for name in of_split(names, split)}
    assert sides.keys() == set(names)
    assert sum(len(of_split(names, split)) for split in SPLITS) == 1000
    assert [round(len(of_split(names, split)), -2) for split in SPLITS] == [800, 100, 100]
    fewer = names[::7]
    assert all(sides[name] == split for split in SPLITS for name in of_split(fewer[::-1], split))
    for count in range(2, 12):
        for first in range(0, 900, 12):
            some = names[first : first + count]
            parts = [of_split(some, split) for split in SPLITS]
            assert parts[0]
            assert parts[1]
            assert sorted([*parts[0], *parts[1], *parts[2]]) == sorted(some)


@pytest.mark.usefixtures("no_decoding")
def test_labels_are_numbers_whose_names_are_kept(clips: Path) -> None:
    files = {path: number_of(path.name) for path in clips.rglob("*.*") if path.stem.isdigit()}
    rows = [f"{path.relative_to(clips)},{n % 4},{('even', 'odd')[n % 2]}" for path, n in files.items()]
    table(clips, "file, person ,kind", *rows, "", "./text.mp4,3,odd")
    for split in SPLITS:
        data = FolderDataset(clips, split)
        assert data.classes == {"person": ("0", "1", "2", "3"), "kind": ("even", "odd")}
        indices = torch.arange(len(data))
        numbers = torch.tensor([number_of(data.files[take]) for take in data.takes.take(indices)])
        labels = data.labels(indices)
        assert labels["person"].equal(numbers % 4)
        assert labels["kind"].equal(numbers % 2)
    (clips / "labels.csv").unlink()
    assert FolderDataset(clips, "test").labels(torch.tensor([0])) == {}


@pytest.mark.usefixtures("no_decoding")
def test_a_wrong_table_of_labels_says_where(clips: Path) -> None:
    for lines, message in (
        ((), "it needs the column 'file'"),
        (("name,person", "a/0.mp4,1"), "begins with 'name,person'; it needs the column 'file'"),
        (("file", "a/0.mp4"), "it needs the column 'file' and others"),
        (("file,person,person", "a/0.mp4,1,1"), "none of them twice"),
        (("file;person", "a/0.mp4;1"), "begins with 'file;person'"),
        (("file,person",), "names no file"),
        (("file,person", "a/0.mp4,1", "a/0.mp4,2"), "line 3 of .* names a/0.mp4, as a line before does"),
        (("file,person", "a/nothing.mp4,1"), "line 2 of .* names a/nothing.mp4, which is not in the folder"),
        (("file,person", "a/0.mp4"), "line 2 of .* is 'a/0.mp4'; it needs a value of each: file, person"),
        (("file,person", "a/0.mp4,"), "line 2 of .* it needs a value of each"),
        (("file,person", "a/0.mp4,1"), r"says nothing of 20 files, such as 11\.png"),
    ):
        table(clips, *lines)
        with pytest.raises(DataError, match=message):
            FolderDataset(clips, "train")
    (clips / "labels.csv").write_bytes(b"file,person\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="UTF-8"):
        FolderDataset(clips, "train")


def test_what_a_folder_lacks_is_said(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DataError, match="needs clips anywhere in <data>"):
        FolderDataset(None, "train")
    with pytest.raises(DataError, match="nowhere is not a folder"):
        FolderDataset(tmp_path / "nowhere", "train")
    with pytest.raises(DataError, match="reads frames of 200 bins"):
        FolderDataset(clips, "train", frame_shape=(200,))
    with pytest.raises(DataError, match="holds 0 clips of at least 13 frames"):
        FolderDataset(clips, "train", frames=13)
    assert "0.mp4: The file has 10 frames, fewer than the 13 of a clip." in capsys.readouterr().err
    folder = tmp_path / "sound"
    folder.mkdir()
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))
    for name in ("1.wav", "2.wav"):
        (folder / name).write_bytes(sound.getvalue())
    with pytest.raises(DataError, match="holds sound and no video; it is trained on with --preset folder-speech"):
        FolderDataset(folder, "train")


@pytest.mark.usefixtures("no_decoding")
def test_two_steps_from_a_folder_end_in_weights(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "WATCHED_PAIRS", 4)
    chosen, run, weights = tmp_path / "own.toml", tmp_path / "run", tmp_path / "weights" / "own"
    chosen.write_text(JOINT.replace('dataset = "sprites"', 'dataset = "folder"').replace("= 12", "= 2"))
    arguments = ["--preset", str(chosen), "--data", str(clips), "--out", str(run), "--device", "cpu"]
    assert train.main(arguments) == 0
    printed = capsys.readouterr()
    assert all(name in printed.err for name in CORRUPT)
    assert f"python -m training.export {run} weights/run" in printed.out
    assert export.main([str(run), str(weights)]) == 0
    model, config = load_weights(weights)
    assert model.config.fps == open_dataset("folder", clips, "train", "cpu", frames=8).fps
    assert config.metrics == {}
    assert "Not evaluated" in (weights / "README.md").read_text()
    assert os.listdir(weights.parent) == ["own"]
