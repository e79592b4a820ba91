"""The benchmark of training: the frozen release still trains."""

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
    with first_release() as root:
        seconds = Loop("one", root if frozen else HERE.parent).drive(2, tmp_path / "run")
    assert len(seconds) == 2
    assert all(value > 0 for value in seconds)


def test_a_loop_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "DATA", tmp_path / "nothing")
    with pytest.raises(RuntimeError, match="is missing"):
        Loop("ours", HERE.parent).drive(1, tmp_path / "run")
