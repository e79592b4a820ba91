"""Plots hold the points that they were given, and are small PNG files."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import norm

from training.evaluation import plots
from training.evaluation.findings import Picture

SHOWN = {"name": "shown", "caption": "Shown."}


def pixels(picture: Picture) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    assert picture.media_type == "image/png"
    assert len(picture.data) < 300_000
    with Image.open(io.BytesIO(picture.data)) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


def clusters(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % 3
    return 8 * torch.eye(5)[labels] + torch.randn(n, 5, generator=generator), labels


def test_tsne_keeps_clusters_apart_and_a_seed_decides() -> None:
    codes, labels = clusters(150)
    places = torch.from_numpy(plots.embed(codes, 0))
    distances = torch.cdist(places, places).fill_diagonal_(torch.inf)
    assert torch.equal(labels[distances.argmin(1)], labels)
    centres = torch.stack([places[labels == label].mean(0) for label in range(3)])
    assert torch.cdist(places, centres).argmin(1).equal(labels)
    assert np.array_equal(plots.embed(codes, 0), places)
    assert not np.array_equal(plots.embed(codes, 1), places)


@pytest.mark.parametrize(("n", "dims"), [(4, 1), (40, 3)])
def test_tsne_of_few_codes_and_of_collapsed_ones(n: int, dims: int) -> None:
    assert np.isfinite(plots.embed(torch.ones(n, dims), 0)).all()


def test_tsne_draws_each_label_of_so_many_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    codes, labels = clusters(150)
    named = ["a", "b", "c", "never seen"]
    monkeypatch.setattr(plots, "POINTS", 60)
    some = plots.tsne(codes, labels, named, **SHOWN, figure=6)
    assert (some.file, some.figure) == ("shown.png", 6)
    monkeypatch.setattr(plots, "POINTS", 1000)
    every = plots.tsne(codes, labels, named, **SHOWN)
    fewer, more = ((np.ptp(pixels(picture), axis=2) > 60).sum() for picture in (some, every))
    assert 0 < fewer < more


def test_det_of_two_gaussians_is_straight_and_crosses_equal_error_where_it_should() -> None:
    thresholds, apart = np.linspace(-9, 11, 4001), 2.0
    accepted, rejected = norm.sf(thresholds), norm.cdf(thresholds - apart)
    axes = Figure().add_subplot()
    plots.draw_det(axes, {"two Gaussians": (accepted, rejected)})
    x, y = axes.lines[0].get_data()
    drawn = (np.asarray(x) > -4) & (np.asarray(y) > -4)
    np.testing.assert_allclose((np.asarray(x) + np.asarray(y))[drawn], -apart, atol=1e-6)
    at = np.abs(np.asarray(x) - y).argmin()
    assert norm.cdf(x[at]) == pytest.approx(norm.cdf(-apart / 2), rel=0.01)


def test_det_passes_through_its_points_at_the_ticks_of_their_rates() -> None:
    axes = Figure().add_subplot()
    plots.draw_det(axes, {"steps": (np.array([1, 0.2, 0.05, 0]), np.array([0, 0.05, 0.4, 1]))})
    ticks = {text.get_text(): place for text, place in zip(axes.get_xticklabels(), axes.get_xticks(), strict=True)}
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(x[1:3], [ticks["20"], ticks["5"]])
    np.testing.assert_allclose(y[1:3], [ticks["5"], ticks["40"]])
    assert np.isfinite([x, y]).all()
    low, high = axes.get_xlim()
    assert x[0] > high
    assert x[3] < low


def test_det_is_a_picture() -> None:
    thresholds = np.linspace(-5, 7, 20_000)
    curves = {f"model {d}": (norm.sf(thresholds), norm.cdf(thresholds - d)) for d in range(1, 6)}
    assert pixels(plots.det(curves, **SHOWN)).shape == (770, 770, 3)


def test_a_log_is_read_term_by_term_and_drawn_panel_by_panel(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    lines = [
        {"iteration": 50, "reconstruction": 900.0, "motion_kl": 3.0, "weight_motion_kl": 0.1},
        {"iteration": 100, "reconstruction": 12.0, "motion_kl": 2.0, "weight_motion_kl": 0.2},
        {"iteration": 100, "error": 15.0},
    ]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    terms, weights = plots.read_log(log)
    assert terms == {
        "reconstruction": [(50, 900), (100, 12)],
        "motion_kl": [(50, 3), (100, 2)],
        "error": [(100, 15)],
    }
    assert weights == {"motion_kl": 0.2}
    three = pixels(plots.training_curves(log, **SHOWN)).shape
    log.write_text(json.dumps({"iteration": 50, "image_critic": -1.0}) + "\n")
    one = pixels(plots.training_curves(log, **SHOWN)).shape
    assert three[1] == 3 * one[1]


def test_a_log_that_is_missing_or_empty(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        plots.training_curves(tmp_path / "log.jsonl", **SHOWN)
    (tmp_path / "log.jsonl").touch()
    with pytest.raises(ValueError, match="no line yet"):
        plots.training_curves(tmp_path / "log.jsonl", **SHOWN)


def test_heatmaps_have_low_frequencies_below_and_early_columns_left() -> None:
    matrix = torch.full((3, 4, 20, 8), 0.5)
    matrix[1, 2, :5, :2] = 1
    picture = pixels(plots.heatmaps(matrix, **SHOWN, figure=11)).astype(int)
    lit = np.argwhere((np.abs(picture - (252, 253, 191)) < 8).all(2))
    grey = np.argwhere((np.abs(picture - (183, 55, 121)) < 8).all(2))
    top, left = grey.min(0)
    height, width = grey.max(0) - (top, left)
    rows, columns = (lit[:, 0] - top) / height * 3, (lit[:, 1] - left) / width * 4
    assert rows.min() == pytest.approx(1.75, abs=0.05)
    assert rows.max() == pytest.approx(2, abs=0.05)
    assert columns.min() == pytest.approx(2, abs=0.05)
    assert columns.max() == pytest.approx(2.25, abs=0.05)
