"""What training in bfloat16 descends is compared with float32 at the same weights and draws."""

import pytest

from benchmarks.agreement import agreement, apart, terms
from benchmarks.machine import CPU
from benchmarks.presets import iteration
from tests.precision import BFLOAT16
from tests.training.test_methods import small


@pytest.mark.parametrize("name", ["sprites", "sprites-sharp", "moving-shapes", "sm-mnist", "librispeech"])
@BFLOAT16
def test_bfloat16_descends_the_terms_of_float32(name: str) -> None:
    chosen = small(name)
    assert chosen.bfloat16
    plain, ours = terms(iteration(chosen, CPU), 20)
    assert plain != ours
    for verdict in agreement(plain, ours):
        assert verdict.holds, verdict


def test_float32_is_the_plain_path_itself() -> None:
    chosen = small("sprites").model_copy(update={"bfloat16": False})
    plain, ours = terms(iteration(chosen, CPU), 3)
    for name, values in plain.items():
        assert ours[name] == pytest.approx(values, rel=1e-5, abs=1e-7), name


def test_terms_are_apart_by_a_share_of_their_size() -> None:
    assert apart([2, 4], [2, 4]) == 0
    assert apart([1, 3], [2, 3]) == pytest.approx(0.25)
    assert apart([-1, 1], [-1, 2]) == pytest.approx(0.5)  # of the mean size, as the mean may be 0
    assert apart([0.0], [1.0]) == float("inf")
