"""Variable frame rates become even ones."""

from __future__ import annotations

import numpy as np
import pytest

from rwae_core.media.clip import MAX_FPS, MIN_FPS
from rwae_core.media.timing import DEFAULT_FPS, even


@pytest.mark.parametrize("fps", [1, 10, 24000 / 1001, 30, 60])
@pytest.mark.parametrize("tick", [1e-6, 1e-3])
@pytest.mark.parametrize("start", [0.0, -3.7, 1e6])
def test_even_frames_stay(fps: float, tick: float, start: float) -> None:
    """Also when their times are rounded, as in WebM."""
    starts = np.round((start + np.arange(40) / fps) / tick) * tick
    order, rate = even(starts.tolist(), round(1 / fps / tick) * tick)
    np.testing.assert_array_equal(order, np.arange(40))
    assert rate == pytest.approx(fps, rel=2e-3)


def test_each_slot_shows_what_is_on_screen_in_its_middle() -> None:
    order, rate = even([0.0, 0.15, 0.55, 0.6], 0.2)
    assert rate == pytest.approx(5)
    assert order.tolist() == [0, 1, 1, 3]  # at 0.1, 0.3, 0.5 and 0.7 s


@pytest.mark.parametrize("gap", [10.0, 3600.0, 1e9])
def test_gaps_never_add_frames(gap: float) -> None:
    order, rate = even([0.0, gap, gap + 0.1], 0.1)
    assert len(order) == 3
    assert MIN_FPS <= rate <= MAX_FPS


@pytest.mark.parametrize("starts", [[5.0] * 4, [0.0, float("inf")], [4.0, 3.0, 2.0, 1.0], [0.0, float("nan")]])
def test_times_that_make_no_sense_are_left_out(starts: list[float]) -> None:
    order, rate = even(starts, 0.0)
    assert order.tolist() == list(range(len(starts)))
    assert rate == DEFAULT_FPS


def test_one_frame_lasts_as_long_as_it_says() -> None:
    assert even([3.0], 0.25)[1] == 4
    assert even([3.0], 0.0)[1] == DEFAULT_FPS
    assert even([3.0], 1e-9)[1] == MAX_FPS
    assert even([3.0], 1e9)[1] == MIN_FPS


def test_a_last_frame_that_does_not_say_lasts_as_long_as_the_others() -> None:
    assert even([0.0, 0.1, 0.2], 0.0)[1] == pytest.approx(10)
