"""The benchmark of training: the frozen release still trains."""

import time
from pathlib import Path

import pytest

from benchmarks import training
from benchmarks.training import HERE, Loop, first_release
from tests.training.conftest import drawn_sprites  # noqa: F401


@pytest.mark.parametrize("frozen", [True, False])
def test_a_loop_is_timed(
    frozen: bool,
    drawn_sprites: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "DATA", drawn_sprites)
    monkeypatch.setattr(training, "SKIPPED", 1)
    with first_release() as root, Loop("one", root if frozen else HERE.parent).started(tmp_path / "run") as running:
        before = running.moments()
        time.sleep(0.5)
        assert running.moments() == before, "it waits for its turn"
        assert 0 < running.turn(6) < 6
        assert len(running.moments()) > len(before)
    assert not running.process.is_running()


def test_a_loop_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "DATA", tmp_path / "nothing")
    with (
        pytest.raises(RuntimeError, match="is missing"),
        Loop("ours", HERE.parent).started(tmp_path / "run"),
    ):
        pass
