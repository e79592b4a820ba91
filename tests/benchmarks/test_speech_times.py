"""The benchmark of sound runs against the real service; how fast a machine is, is no test."""

import io
import json
from pathlib import Path

import pytest
import soundfile

from benchmarks import machine, speech


def test_sounds_have_the_length_that_is_asked_for() -> None:
    for seconds in (0.5, 7.0):
        samples, rate = soundfile.read(io.BytesIO(speech.sound("voice_a", seconds)))
        assert len(samples) == int(seconds * rate)
        assert abs(samples).max() > 0.05


@pytest.mark.slow
def test_it_measures_the_service(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Half a minute on two quiet cores."""
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(speech, "LONG_S", 10)
    assert speech.main() in (0, 1)
    assert "/encode of 1 s" in capsys.readouterr().out
    measured = json.loads((tmp_path / "speech.json").read_text())
    assert len(measured["swap_s"]) == speech.SWAPS
    assert measured["memory_mb"] > 50
