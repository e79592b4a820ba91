"""A folder of recordings of one's own: mixed kinds, rates and channels, some of them no sound at all."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from rwae_core.media.encode import AudioFormat, encode_audio, encode_video
from rwae_core.media.pool import MediaPool
from rwae_core.speech import SpectrumConfig, analyse
from rwae_core.weights import load_weights
from training import export, preset, train
from training.datasets import Dataset
from training.datasets.batch import random_batch
from training.datasets.catalogue import open_dataset
from training.datasets.errors import DataError
from training.datasets.folder_speech import FolderSpeech
from training.datasets.utterances import Utterances

CONFIG = SpectrumConfig()
FORMATS: tuple[AudioFormat, ...] = ("wav", "flac", "ogg")
RATES = (16_000, 22_050, 44_100, 8_000)
SPLITS = ("train", "validation", "test")
SKIPPED = {
    "a/truncated.flac": "The file is damaged",
    "text.wav": "The file is of no supported kind",
    "silent.mp4": "The file holds pictures and no sound.",
    "short.wav": "The file has 0.19 s of sound, less than the 0.2 s of a window.",
}


def tone(number: int, seconds: float, rate: int) -> np.ndarray:
    """A sine of the file's own pitch, (number + 1) · 200 Hz, in a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    noise = np.random.default_rng(number).standard_normal(len(time))
    return 0.5 * np.sin(2 * np.pi * 200 * (number + 1) * time) + 0.001 * noise


def number_of(name: str) -> int:
    return int(Path(name).stem)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 recordings of 0.25 to 0.47 s, one of them in two channels, and the four that are skipped."""
    folder = tmp_path_factory.mktemp("voices")
    (folder / "a").mkdir()
    for number in range(12):
        kind, rate = FORMATS[number % 3], RATES[number // 3]
        path = folder / ("a", ".")[number % 2] / f"{number}.{kind}"
        path.write_bytes(encode_audio(tone(number, 0.25 + 0.02 * number, rate), rate, kind))
    soundfile.write(folder / "a" / "0.wav", np.outer(tone(0, 0.25, 16_000), (1.5, 0.5)), 16_000)
    whole = encode_audio(tone(1, 2, 16_000), 16_000, "flac")
    (folder / "a" / "truncated.flac").write_bytes(whole[: len(whole) // 2])
    (folder / "text.wav").write_text("no sound\n" * 100)
    (folder / "silent.mp4").write_bytes(encode_video(np.zeros((10, 32, 32, 3), np.uint8), 10, "mp4"))
    soundfile.write(folder / "short.wav", tone(1, 0.19, 16_000), 16_000)
    FolderSpeech(folder, "train")
    return folder


@pytest.fixture
def voices(written: Path, tmp_path: Path) -> Path:
    """A copy to change, with what was decoded before."""
    return shutil.copytree(written, tmp_path / "voices")


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(*_: object) -> None:
        raise AssertionError("something was decoded")

    monkeypatch.setattr(MediaPool, "__init__", started)


@pytest.mark.usefixtures("no_decoding")
def test_what_is_no_sound_is_named_and_the_rest_is_heard(voices: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for split in SPLITS:
        data = open_dataset("folder", voices, split, "cpu", frames=20, frame_shape=(200,))
        assert isinstance(data, FolderSpeech)
        assert isinstance(data, Utterances)
        assert isinstance(data, Dataset)
        assert (data.frames, data.fps, data.frame_shape) == (20, 100.0, (200,))
        assert data.skipped.keys() == SKIPPED.keys()
        assert data.speakers == data.files  # each is its own
        columns = data.first_window.diff() + 19
        for utterance, name in enumerate(data.files):
            number = number_of(name)
            assert abs(columns[utterance].item() - (25 + 2 * number)) <= 1  # of 10 ms, at whatever rate it was
            wave = data.wave(utterance)
            assert wave.square().mean().sqrt().item() == pytest.approx(0.5 / 2**0.5, rel=0.05)
            window = data.clips(data.first_window[utterance : utterance + 1])[0]
            assert window.mean(0).argmax() == 5 * (number + 1) - 1  # bins are 40 Hz apart, from 40 Hz on
            torch.testing.assert_close(window, analyse(wave[None], CONFIG)[0, :20], atol=5e-4, rtol=0)
        found += data.files
    assert sorted(map(number_of, found)) == list(range(12))
    printed = capsys.readouterr().err
    assert "4 of 16 files" in printed
    lines = dict(re.findall(r"^  (\S+): (The file .*)$", printed, re.MULTILINE))
    assert lines.keys() == SKIPPED.keys()
    assert all(reason in lines[name] for name, reason in SKIPPED.items())


def test_what_is_kept_is_the_files_samples_to_16_bits(voices: Path) -> None:
    samples, _ = soundfile.read(voices / "3.wav", dtype="float32")
    soundfile.write(voices / "12.wav", samples, 16_000, subtype="FLOAT")  # that of 22,050 Hz, taken for 16,000
    waves = {}
    for split in SPLITS:
        data = FolderSpeech(voices, split)
        waves |= {name: data.wave(utterance) for utterance, name in enumerate(data.files)}
    torch.testing.assert_close(waves["12.wav"], torch.from_numpy(samples), atol=0.51 / 32767, rtol=0)
    assert len([*(voices / ".rwae-cache" / "sound-16000").iterdir()]) == 17


@pytest.mark.usefixtures("no_decoding")
def test_a_table_says_who_speaks_and_what_else_is_true(voices: Path) -> None:
    names = [path.relative_to(voices).as_posix() for path in voices.rglob("*.*") if path.stem.isdigit()]
    rows = [f"{name},{'Ada' if number_of(name) % 2 else 'Bo'},{number_of(name) % 3}" for name in names]
    (voices / "labels.csv").write_text("\n".join(["file,speaker,mood", *rows]))
    for split in SPLITS:
        data = FolderSpeech(voices, split)
        assert data.classes == {"mood": ("0", "1", "2")}
        labels = data.labels(torch.arange(len(data)))
        for speaker, utterance, mood in zip(
            *(labels[n].tolist() for n in ("speaker", "utterance", "mood")), strict=True
        ):
            number = number_of(data.files[utterance])
            assert (data.speakers[speaker], mood) == ("Ada" if number % 2 else "Bo", number % 3)


@pytest.mark.usefixtures("no_decoding")
def test_other_windows_of_a_clip_are_of_its_own_file(voices: Path) -> None:
    batch = random_batch(FolderSpeech(voices, "train"), 16, torch.Generator().manual_seed(0), windows=9)
    assert batch.recording is not None
    assert batch.recording.shape == (16, 9, 20, 200)
    pitch = batch.clips.mean(1).argmax(1)
    assert pitch.unique().numel() > 3
    assert batch.recording.mean(2).argmax(2).equal(pitch[:, None].expand(16, 9))


def test_what_a_folder_lacks_is_said(voices: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="needs clips anywhere in <data>"):
        FolderSpeech(None, "train")
    with pytest.raises(DataError, match=r"holds 0 recordings of at least 0\.6 s that can be decoded, of 16 files"):
        FolderSpeech(voices, "train", frames=60)
    with pytest.raises(DataError, match="folder has frames of 200, the model reads 80"):
        open_dataset("folder", voices, "train", "cpu", frames=20, frame_shape=(80,))
    films = tmp_path / "films"
    films.mkdir()
    for name in ("1.mp4", "2.mp4"):
        shutil.copy(voices / "silent.mp4", films / name)
    with pytest.raises(DataError, match="pictures and no sound; it is trained on with --preset folder"):
        FolderSpeech(films, "train")


def test_a_preset_whose_columns_no_dataset_has_is_refused() -> None:
    raw = preset.load("folder-speech").model_dump()
    raw["model"]["frame_networks"]["spectrum"]["floor_db"] = -80.0
    with pytest.raises(ValueError, match="leave 'spectrum' out"):
        preset.Preset.model_validate(raw)


@pytest.mark.usefixtures("no_decoding")
def test_three_steps_of_the_shipped_preset_end_in_weights(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(train, "WATCHED_PAIRS", 4)
    chosen, run, weights = tmp_path / "own.toml", tmp_path / "run", tmp_path / "weights" / "own"
    shipped = (preset.FOLDER / "folder-speech.toml").read_text()
    chosen.write_text(shipped.replace("iterations = 2000", "iterations = 3").replace("batch = 64", "batch = 4"))
    assert train.main(["--preset", str(chosen), "--data", str(voices), "--out", str(run), "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert all(name in printed.err for name in SKIPPED)
    assert f"python -m training.export {run} weights/run" in printed.out
    assert export.main([str(run), str(weights)]) == 0
    model, _ = load_weights(weights)
    assert model.config.fps == 100
    assert "A folder of clips of one's own" in (weights / "README.md").read_text()
