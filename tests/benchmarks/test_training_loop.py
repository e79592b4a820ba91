"""The benchmark of training: the frozen release still trains, and terms are compared as they are said to be."""

from pathlib import Path

import pytest

from benchmarks import training
from benchmarks.training import HERE, Loop, apart, first_release
from tests.training.conftest import drawn_sprites  # noqa: F401


@pytest.mark.parametrize("frozen", [True, False])
def test_a_loop_is_timed_and_logs_its_terms(
    frozen: bool,
    drawn_sprites: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(training, "DATA", drawn_sprites)
    monkeypatch.setattr(training, "AGREEING", 2)
    monkeypatch.setattr(training, "EVERY", 1)
    with first_release() as root:
        loop = Loop("one", root if frozen else HERE.parent)
        terms = training._log(loop, tmp_path / "run")
    assert {"reconstruction", "motion_kl", "content_kl", "motion_mmd", "dependence"} <= terms.keys()
    assert {len(values) for values in terms.values()} == {2}
    assert all(value > 0 for value in terms["reconstruction"])


def test_a_loop_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "DATA", tmp_path / "nothing")
    with pytest.raises(RuntimeError, match="is missing"):
        Loop("ours", HERE.parent).drive(1, 1, tmp_path / "run")


def test_terms_are_apart_by_a_share_of_their_size() -> None:
    assert apart([2, 4], [2, 4]) == 0
    assert apart([1, 3], [2, 3]) == pytest.approx(0.25)
    assert apart([-1, 1], [-1, 2]) == pytest.approx(0.5)  # of the mean size, as the mean may be 0
    assert apart([0.0], [1.0]) == float("inf")
