"""The benchmark of sound runs against the real service; how fast a machine is, is no test."""

import io

import pytest
import soundfile

from benchmarks import speech


def test_sounds_have_the_length_that_is_asked_for() -> None:
    for seconds in (0.5, 7.0):
        samples, rate = soundfile.read(io.BytesIO(speech.sound("voice_a", seconds)))
        assert len(samples) == int(seconds * rate)
        assert abs(samples).max() > 0.05


@pytest.mark.slow
def test_it_measures_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute on two quiet cores."""
    monkeypatch.setattr(speech, "LONG_S", 10)
    found = speech.measure()
    assert len(found.points["swap_s"]) == speech.SWAPS
    assert found.rows["memory before, MB"]["measured"] > 50
    assert len(found.verdicts) == 3
