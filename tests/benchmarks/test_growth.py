"""Slopes of curves that are known; configurations of larger frames."""

from pathlib import Path

import pytest

from benchmarks import growth
from benchmarks.growth import Curve
from rwae_core.config import ModelConfig
from rwae_core.model import RWAE
from training import preset


def curve(power: float, *, what: str = "c") -> Curve:
    sizes = (1, 4, 16, 64)
    return Curve(what, "frames", sizes, [0.01 * size**power for size in sizes], [1.0] * 4)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_slopes_are_found(power: float) -> None:
    assert curve(power).slope == pytest.approx(power)


def test_what_grows_faster_than_in_proportion_fails() -> None:
    found = growth.section([curve(1.0, what="even"), curve(1.2, what="steep")])
    assert [verdict.holds for verdict in found.verdicts] == [True, False]
    assert not found.holds
    assert found.rows["steep"]["slope"] == pytest.approx(1.2)
    assert found.as_json({})["points"]["curves"][0]["sizes"] == [1, 4, 16, 64]


def test_curves_are_drawn(tmp_path: Path) -> None:
    growth.draw([curve(1.0), Curve("p", "pixels", (1, 4), (1.0, 2.0))], tmp_path / "growth.svg")
    drawn = (tmp_path / "growth.svg").read_text()
    assert "<svg" in drawn
    assert not any(line.endswith(" ") for line in drawn.splitlines())


@pytest.mark.parametrize("name", growth.WIDTHS)
def test_larger_frames_take_one_layer_more(name: str) -> None:
    config = preset.load(name).model
    assert isinstance(config, ModelConfig)
    assert growth.resized(config, 64) == config
    larger = growth.resized(config, 128)
    assert larger.frame_shape == (3, 128, 128)
    assert larger.frame_networks.decoder_widths[:-1] == config.frame_networks.decoder_widths
    RWAE(larger)
