"""LibriSpeech's windows are slices of its utterances' spectra, and its speakers are split once and for all."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rwae_core.speech import SpectrumConfig, analyse
from training.datasets import Dataset
from training.datasets.batch import random_batch
from training.datasets.errors import DataError
from training.datasets.librispeech import LibriSpeech

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "librispeech_mini"
CONFIG = SpectrumConfig()


def record(path: Path, samples: int, seed: int, **how: object) -> None:
    """A file of noise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(seed).standard_normal(samples), **{"samplerate": 16_000, **how})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 training speakers with 2 utterances each and 3 test speakers, 250 to 400 ms an utterance."""
    folder = tmp_path_factory.mktemp("librispeech")
    for name, speakers in (("train-clean-100", range(95, 109)), ("test-other", (7, 30, 200))):
        for speaker in speakers:
            for i in range(2):
                path = folder / "LibriSpeech" / name / str(speaker) / "11" / f"{speaker}-11-000{i}.flac"
                record(path, 4000 + 8 * speaker + 777 * i, seed=2 * speaker + i)
    return folder


@pytest.fixture(scope="module")
def data(folder: Path) -> LibriSpeech:
    return LibriSpeech(folder, "test")


def test_it_is_a_dataset_of_200_ms_windows_every_10_ms(data: LibriSpeech) -> None:
    assert isinstance(data, Dataset)
    assert (data.frames, data.fps, data.frame_shape) == (20, 100.0, (200,))
    columns = [-(-soundfile.info(path).frames // 160) for path in data.paths]
    assert len(data) == sum(n - 19 for n in columns)
    assert data.first_window.tolist() == [sum(n - 19 for n in columns[:i]) for i in range(7)]


def test_a_window_is_a_slice_of_its_utterances_spectrum(data: LibriSpeech) -> None:
    clips, labels = data.clips(torch.arange(len(data))), data.labels(torch.arange(len(data)))
    assert clips.dtype == torch.float32
    expected_windows, expected_labels = [], []
    for u, path in enumerate(data.paths):
        samples, _ = soundfile.read(path, dtype="float32")
        spectrum = analyse(torch.from_numpy(samples)[None], CONFIG)[0]
        expected_windows += list(spectrum.unfold(0, 20, 1).transpose(1, 2))
        expected_labels += [(u // 2, u)] * (len(spectrum) - 19)
        torch.testing.assert_close(data.wave(u), torch.from_numpy(samples))
        whole = data.utterance(u)
        assert whole.shape == (len(spectrum) // 20, 20, 200)
        torch.testing.assert_close(whole.flatten(0, 1), spectrum[: 20 * len(whole)], atol=5e-4, rtol=0)
    torch.testing.assert_close(clips, torch.stack(expected_windows), atol=5e-4, rtol=0)  # float16: 0.05 dB
    assert list(zip(labels["speaker"].tolist(), labels["utterance"].tolist(), strict=True)) == expected_labels


def test_a_clip_does_not_depend_on_its_neighbours(data: LibriSpeech) -> None:
    indices = torch.tensor([40, 3, 3, len(data) - 1])
    assert torch.equal(data.clips(indices)[1:2], data.clips(torch.tensor([3])))
    assert torch.equal(data.clips(indices).flip(0), data.clips(indices.flip(0)))


def test_every_12th_training_speaker_by_number_is_for_validation(folder: Path) -> None:
    train, validation, test = (LibriSpeech(folder, split) for split in ("train", "validation", "test"))
    assert validation.speakers == ("95", "107")
    assert train.speakers == tuple(str(n) for n in range(95, 109) if n not in {95, 107})
    assert test.speakers == ("7", "30", "200")
    assert (train.utterances, validation.utterances, test.utterances) == (24, 4, 6)
    assert validation.speaker_of.tolist() == [0, 0, 1, 1]


def test_the_sets_may_lie_in_the_folder_itself_and_windows_may_be_longer(folder: Path, data: LibriSpeech) -> None:
    inside = LibriSpeech(folder / "LibriSpeech", "test", frames=25)
    assert len(inside) == len(data) - 5 * 6
    assert torch.equal(inside.clips(torch.tensor([0]))[:, :20], data.clips(torch.tensor([0])))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"openslr\.org/12"):
        LibriSpeech(None, "train")
    with pytest.raises(DataError, match=r"train-clean-100 is missing.*openslr\.org/12"):
        LibriSpeech(tmp_path, "train")
    (tmp_path / "test-other").mkdir()
    with pytest.raises(DataError, match="holds no speakers for test"):
        LibriSpeech(tmp_path, "test")
    (tmp_path / "test-other" / "12" / "3").mkdir(parents=True)
    with pytest.raises(DataError, match=r"test-other.12 holds no <chapter>/\*\.flac"):
        LibriSpeech(tmp_path, "test")


def damaged_files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each with what is said of it."""
    path = folder / "test-other" / "12" / "3" / "12-3-0000.flac"
    record(path, 16_000, seed=0)
    path.write_bytes(path.read_bytes()[:9000])
    yield path, "cannot be read as sound.*Fetch it again"
    path.write_bytes(b"<html>404</html>")
    yield path, "cannot be read as sound.*Fetch it again"
    record(path, 16_000, seed=0, samplerate=22_050)
    yield path, "1 channel.* at 22050 Hz; speech must be mono at 16000 Hz.*ffmpeg"
    soundfile.write(path, np.zeros((16_000, 2)), 16_000)
    yield path, "2 channel.* at 16000 Hz"
    record(path, 19 * 160, seed=0)
    yield path, "19 columns of 10 ms, a window 20"


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    for path, message in damaged_files(tmp_path):
        with pytest.raises(DataError, match=f"{path.name}.*{message}"):
            LibriSpeech(tmp_path, "test")


def test_the_real_one_has_251_training_and_10_times_10_test_utterances() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no LibriSpeech in {REAL}; set RWAE_DATA to the folder that holds librispeech_mini/")
    train, validation, test = (LibriSpeech(REAL, split) for split in ("train", "validation", "test"))
    assert (len(train.speakers), len(validation.speakers), len(test.speakers)) == (230, 21, 10)
    assert not {*train.speakers} & {*validation.speakers}
    assert test.speaker_of.bincount().tolist() == [10] * 10
    assert (len(train), len(validation), len(test)) == (285_874, 23_495, 74_782)
    clips = train.clips(torch.randint(len(train), (500,), generator=torch.Generator().manual_seed(0)))
    assert 0.15 < clips.mean() < 0.25
    assert 0 <= clips.min() < clips.max() <= 1


def test_companions_are_windows_of_the_same_utterance_all_alike_probable(data: LibriSpeech) -> None:
    indices = torch.arange(len(data)).repeat(50)
    found = data.companions(indices, 3, torch.Generator().manual_seed(0))
    utterance = data.labels(indices)["utterance"]
    assert torch.equal(data.labels(found.flatten())["utterance"], utterance.repeat_interleave(3))
    assert torch.equal(found, data.companions(indices, 3, torch.Generator().manual_seed(0)))
    first, end = (data.first_window[utterance + i, None] for i in (0, 1))
    place = ((found - first + 0.5) / (end - first)).flatten()
    for level in (0.1, 0.5, 0.9):
        assert (place < level).float().mean().item() == pytest.approx(level, abs=0.06)
    assert found.unique().numel() == len(data)


def test_a_batch_holds_windows_of_each_clips_recording(data: LibriSpeech) -> None:
    batch = random_batch(data, 5, torch.Generator().manual_seed(0), windows=3)
    assert batch.recording is not None
    assert batch.recording.shape == (5, 3, 20, 200)
    for row, utterance in enumerate(batch.labels["utterance"].tolist()):
        first, end = data.first_window[utterance : utterance + 2].tolist()
        columns = {tuple(c) for c in data.clips(torch.arange(first, end)).flatten(0, 1).tolist()}
        assert all(tuple(column) in columns for column in batch.recording[row].flatten(0, 1).tolist())
    assert random_batch(data, 5, torch.Generator().manual_seed(0)).recording is None
