"""What training in bfloat16 descends is compared with float32 at the same weights and draws."""

import pytest
import torch

from benchmarks.agreement import agreement, apart, terms
from benchmarks.presets import iteration
from tests.training.test_methods import small


@pytest.mark.parametrize("name", ["sprites", "sprites-sharp", "moving-shapes", "sm-mnist", "librispeech"])
def test_bfloat16_descends_the_terms_of_float32(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A processor without instructions for it computes the same slowly: not in training, but here.
    monkeypatch.setattr("training.algorithm.has_bfloat16", lambda _: True)
    chosen = small(name)
    assert chosen.bfloat16
    plain, ours = terms(iteration(chosen, torch.device("cpu")), 20)
    assert plain != ours
    for verdict in agreement(plain, ours):
        assert verdict.holds, verdict


def test_float32_is_the_plain_path_itself() -> None:
    chosen = small("sprites").model_copy(update={"bfloat16": False})
    plain, ours = terms(iteration(chosen, torch.device("cpu")), 3)
    for name, values in plain.items():
        assert ours[name] == pytest.approx(values, rel=1e-5, abs=1e-7), name


def test_terms_are_apart_by_a_share_of_their_size() -> None:
    assert apart([2, 4], [2, 4]) == 0
    assert apart([1, 3], [2, 3]) == pytest.approx(0.25)
    assert apart([-1, 1], [-1, 2]) == pytest.approx(0.5)  # of the mean size, as the mean may be 0
    assert apart([0.0], [1.0]) == float("inf")
