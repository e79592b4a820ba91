"""TIMIT is read from the layouts in which it is handed on, and its core test set is the documented one."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from training.datasets import Dataset
from training.datasets.errors import DataError
from training.datasets.timit import CORE_TEST, TIMIT

SENTENCES = ("SA1", "SA2", "SI1027", "SI1657", "SI648", "SX117", "SX207", "SX27", "SX297", "SX387")
TRAINING = tuple(f"F{letter}JF0" for letter in "ABCDEFGHIJKLM")


def record(path: Path, samples: int, kind: str) -> bytes:
    """A file of noise, and its bytes."""
    noise = 0.1 * np.random.default_rng(samples).standard_normal(samples)
    soundfile.write(path, noise, 16_000, format="NIST" if kind == "NIST" else "WAV", subtype="PCM_16")
    return path.read_bytes()


def record_timit(folder: Path, kind: str) -> Path:
    """13 training speakers, the core test set and another test speaker, in capitals as SPHERE or in small as RIFF."""
    sentences = {name: record(folder / "sentence", 3300 + 160 * i, kind) for i, name in enumerate(SENTENCES)}
    for part, speakers in (("TRAIN", TRAINING), ("TEST", (*CORE_TEST, "FAKS0"))):
        for i, speaker in enumerate(speakers):
            place = Path(part) / f"DR{i % 8 + 1}" / speaker
            for sentence, content in sentences.items():
                path = place / f"{sentence}.WAV"
                path = folder / (path if kind == "NIST" else str(path).lower())
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            path.with_suffix(".PHN").write_text("0 3300 h#\n")
    (folder / "DOC").mkdir()
    return folder


@pytest.fixture(scope="module", params=["NIST", "RIFF"])
def timit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_timit(tmp_path_factory.mktemp("timit"), request.param)


def test_the_core_test_set_is_24_speakers_and_192_utterances_without_sa(timit: Path) -> None:
    data = TIMIT(timit, "test")
    assert isinstance(data, Dataset)
    assert data.utterances == 192
    assert data.speakers == CORE_TEST
    assert len(set(CORE_TEST)) == 24
    assert [name[0] for name in CORE_TEST] == ["M", "M", "F"] * 8  # two men and a woman of each region
    assert data.speaker_of.bincount().tolist() == [8] * 24
    assert not any(path.name.upper().startswith("SA") for path in data.paths)
    assert len({path.name.upper() for path in data.paths}) == 8


def test_windows_are_those_of_the_files(timit: Path) -> None:
    data = TIMIT(timit, "test")
    columns = [-(-soundfile.info(path).frames // 160) for path in data.paths]
    assert len(data) == sum(n - 19 for n in columns)
    indices = torch.tensor([0, len(data) - 1])
    assert data.labels(indices)["utterance"].tolist() == [0, 191]
    assert data.labels(indices)["speaker"].tolist() == [0, 23]
    torch.testing.assert_close(data.clips(indices)[0], data.utterance(0)[0])
    assert data.wave(5).shape == (soundfile.info(data.paths[5]).frames,)


def test_every_12th_training_speaker_by_name_is_for_validation(timit: Path) -> None:
    assert TIMIT(timit, "validation").speakers == ("FAJF0", "FMJF0")
    assert TIMIT(timit, "train").speakers == TRAINING[1:12]


def test_a_copy_that_holds_each_sentence_twice_counts_it_once(tmp_path: Path) -> None:
    folder = record_timit(tmp_path, "NIST")
    for path in (folder / "TEST").rglob("*.WAV"):
        path.with_name(f"{path.name}.wav").write_bytes(path.read_bytes())
    assert TIMIT(folder, "test").utterances == 192


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="LDC93S1"):
        TIMIT(None, "train")
    with pytest.raises(DataError, match=r"TRAIN is missing.*LDC93S1"):
        TIMIT(tmp_path, "train")
    folder = record_timit(tmp_path, "NIST")
    path = next(folder.glob("TEST/*/MDAB0/SX117.WAV"))
    whole = path.read_bytes()
    path.write_bytes(whole[:5000])
    with pytest.raises(DataError, match=r"SX117\.WAV is cut off after 1988 samples"):
        TIMIT(folder, "test")
    record(path, 0, "NIST")
    with pytest.raises(DataError, match=r"SX117\.WAV is cut off after 0 samples"):
        TIMIT(folder, "test")
    path.write_bytes(b"NIST_1A\nnothing")
    with pytest.raises(DataError, match=r"SX117\.WAV cannot be read as sound"):
        TIMIT(folder, "test")
    path.unlink()
    with pytest.raises(DataError, match="MDAB0 holds 7 of the 8 SX and SI sentences"):
        TIMIT(folder, "test")
    path.parent.rename(path.parent.with_name("MXYZ0"))
    with pytest.raises(DataError, match="lacks the speakers MDAB0 of the core test set"):
        TIMIT(folder, "test")
    for region in (folder / "TRAIN").iterdir():
        region.rename(region.with_name(f"X{region.name}"))
    with pytest.raises(DataError, match="holds no speakers for train"):
        TIMIT(folder, "train")
