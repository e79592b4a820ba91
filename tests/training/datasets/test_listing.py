"""The list of datasets says what each needs, and tells one that is intact from one that is not."""

import gzip
import hashlib
import os
from pathlib import Path

import pytest

from training import preset
from training.datasets import __main__ as listing
from training.datasets.catalogue import DATASETS, open_dataset
from training.datasets.errors import DataError
from training.datasets.folder_speech import FolderSpeech
from training.datasets.source import Files, Source

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data"))
LINES = ("needs", "from", "licence", "presets", "train")


def test_every_dataset_is_listed_and_a_missing_one_says_what_goes_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert listing.main([str(tmp_path)]) == 0
    entries = dict(entry.split(maxsplit=1) for entry in capsys.readouterr().out.strip().split("\n\n"))
    assert entries.keys() == DATASETS.keys()
    for name, entry in entries.items():
        text = " ".join(entry.split())
        folder = DATASETS[name].source.folder
        if folder:
            assert f"missing: there is no {tmp_path / folder}" in text
            assert f" fetch {DATASETS[name].source.needs}".replace("<data>", str(tmp_path / folder)) in text
            assert f"--data {tmp_path / folder} " in f"{text} "
        else:
            assert "nothing to fetch" in text
        assert DATASETS[name].source.origin in text
        assert DATASETS[name].source.licence in text
        assert all(f" {line} " in text.replace(" fetch ", " needs ") for line in LINES)


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        listing.main(["--help"])
    assert "python -m training.datasets ../shared/data" in capsys.readouterr().out


def test_files_are_compared_with_what_was_published(tmp_path: Path) -> None:
    first, second = b"one\n" * 100, b"two\n"
    source = Source(
        title="Numbers",
        needs="<data>/*.txt",
        origin="example.org",
        licence="none",
        files=(
            Files("[0-9].txt", 2, hashlib.sha256(first + second).hexdigest()),
            Files("raw", 1, hashlib.md5(first, usedforsecurity=False).hexdigest()),
        ),
    )
    assert source.help == "Numbers needs <data>/*.txt, from example.org; point --data at <data>."
    with pytest.raises(DataError, match=r"^\[0-9\]\.txt is missing; raw is missing$"):
        source.check(tmp_path)
    (tmp_path / "1.txt").write_bytes(first)
    (tmp_path / "raw.gz").write_bytes(gzip.compress(first))
    with pytest.raises(DataError, match=r"^\[0-9\]\.txt are 1, not 2$"):
        source.check(tmp_path)
    (tmp_path / "2.txt").write_bytes(second)
    assert source.check(tmp_path) == "intact: 3 files"
    (tmp_path / "raw.gz").write_bytes(gzip.compress(first)[:-10])
    with pytest.raises(DataError, match=r"^raw\.gz cannot be read: "):
        source.check(tmp_path)
    (tmp_path / "raw").write_bytes(second)
    with pytest.raises(DataError, match=r"^raw differs from what was published$"):
        source.check(tmp_path)


@pytest.mark.parametrize("name", ["sprites", "sm-mnist", "human-actions", "librispeech"])
def test_the_real_files_are_intact(name: preset.Name) -> None:
    source = DATASETS[name].source
    if not (REAL / source.folder).is_dir():
        pytest.skip(f"no {source.folder} in {REAL}; set RWAE_DATA to the folder that holds it")
    assert source.check(REAL / source.folder).startswith("intact")


@pytest.mark.parametrize("name", preset.names())
def test_every_preset_reads_its_datasets_frames(name: str) -> None:
    chosen = preset.load(name)
    dataset = FolderSpeech if name == "folder-speech" else DATASETS[chosen.dataset]
    assert chosen.model.frame_shape == dataset.frame_shape


def test_a_model_of_other_frames_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sm-mnist has frames of 1×64×64, the model reads 3×64×64; change \[model"):
        open_dataset("sm-mnist", tmp_path, "train", "cpu", frames=8, frame_shape=(3, 64, 64))
    with pytest.raises(DataError, match="timit has frames of 200, the model reads 80"):
        open_dataset("timit", None, "train", "cpu", frames=20, frame_shape=(80,))
    assert open_dataset("moving-shapes", None, "test", "cpu", frames=8, frame_shape=(3, 64, 64)).frames == 8
