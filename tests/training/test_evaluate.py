"""Figures are what their definitions say, and a run goes all the way to weights that can be loaded."""

import json
import math
from pathlib import Path

import pytest
import torch
from PIL import Image

from rwae_core.latents import Latents
from rwae_core.weights import load_weights
from training import evaluate, export, judge, protocols, train
from training.datasets import sprites
from training.datasets.sprites import ATTRIBUTES, Labels, Sprites

from .test_train import JOINT


def test_inception_score_and_entropies_of_known_predictions() -> None:
    certain = torch.eye(9, dtype=torch.float64).repeat(7, 1)
    found = protocols.inception_figures(certain)
    assert found["inception_score"] == pytest.approx(9)
    assert found["entropy_given_clip"] == 0
    assert found["entropy"] == pytest.approx(math.log(9))
    unsure = torch.full((5, 9), 1 / 9, dtype=torch.float64)
    assert protocols.inception_figures(unsure)["inception_score"] == pytest.approx(1)
    collapsed = torch.eye(9, dtype=torch.float64)[:1].repeat(7, 1)
    assert protocols.inception_figures(collapsed)["inception_score"] == pytest.approx(1)
    halves = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    expected = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25) - 0.5 * math.log(2))
    assert protocols.inception_figures(halves)["inception_score"] == pytest.approx(expected)


class Truth:
    """Codes that are the labels themselves, decoded by composing: a perfect model, and its judge."""

    def __init__(self, data: Sprites, *, leaks: bool = False) -> None:
        self.data, self.leaks = data, leaks

    def decode(self, latents: Latents) -> Labels:
        """A clip that is known by its labels; a leaking model takes the body from z^m as well."""
        labels = dict(zip(ATTRIBUTES, latents.z_c.long().unbind(1), strict=True))
        action, body = latents.z_m[:, 0].long().unbind(1)
        return labels | {"action": action} | ({"body": body} if self.leaks else {})

    def verdict(self, clip: Labels) -> Labels:
        return clip


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("leaks", [False, True])
def test_swap_counts_contents_attributes_and_motions_action(drawn_sprites: Path, leaks: bool) -> None:
    data = Sprites(drawn_sprites, "test")
    labels = data.labels(torch.arange(len(data)))
    motion = torch.stack([labels["action"], labels["body"]], 1).float()[:, None]
    truth = Truth(data, leaks=leaks)
    codes = Latents(torch.stack([labels[name] for name in ATTRIBUTES], 1).float(), motion)
    found = protocols.swap(truth, truth, data, codes, torch.Generator().manual_seed(0))  # type: ignore[arg-type]
    body = found.pop("body")
    assert found == {"action": 0, "bottomwear": 0, "topwear": 0, "hair": 0}
    assert body == (pytest.approx(100 * 5 / 6, abs=4) if leaks else 0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A judge of three steps and ten test characters: the way is tested here, not the figures."""
    monkeypatch.setattr(judge, "STEPS", 3)
    monkeypatch.setitem(sprites.SPLITS, "test", (1000, 1010))
    monkeypatch.setattr(evaluate, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(train, "WATCHED_PAIRS", 4)


@pytest.mark.usefixtures("quick")
def test_a_run_is_judged_exported_and_loaded(
    drawn_sprites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen, run, data = tmp_path / "small.toml", tmp_path / "run", ["--data", str(drawn_sprites), "--device", "cpu"]
    chosen.write_text(JOINT)
    assert train.main(["--preset", str(chosen), "--out", str(run), *data]) == 0
    assert export.main([str(run), str(tmp_path / "weights" / "small")]) == 0
    assert "Not evaluated" in (tmp_path / "weights" / "small" / "README.md").read_text()

    assert evaluate.main([str(run), *data, "--repeats", "2"]) == 1
    assert "may not judge" in capsys.readouterr().err
    monkeypatch.setattr(evaluate, "REQUIRED_ACCURACY", 0)
    assert evaluate.main([str(run), *data, "--repeats", "2"]) == 0
    printed = capsys.readouterr().out
    assert all(title in printed for title in evaluate.PROTOCOLS.values())
    figures = json.loads((run / "evaluation.json").read_text())
    assert figures["clips"] == 90
    assert set(figures["swap"]) == {"action", "body", "bottomwear", "topwear", "hair"}
    with Image.open(run / "swap.png") as picture:
        assert picture.size == (6 * 8 * 64 + 5 * 4, 5 * 64 + 4 * 4)
    with Image.open(run / "swap.gif") as picture:
        assert picture.n_frames == 8

    assert export.main([str(run), str(tmp_path / "weights" / "small")]) == 0
    model, config = load_weights(tmp_path / "weights" / "small")
    assert config.metrics["psnr_db"] == pytest.approx(figures["reconstruction"]["psnr_db"], abs=0.01)
    assert f"{figures['swap']['action']['mean']:.3f}" in (tmp_path / "weights" / "small" / "README.md").read_text()
    assert evaluate.main([str(tmp_path / "weights" / "small"), *data, "--repeats", "1"]) == 0
    assert model.generate(1, 8).shape == (1, 8, 3, 64, 64)


@pytest.mark.usefixtures("quick")
def test_the_judge_is_trained_once_and_then_read(drawn_sprites: Path, tmp_path: Path) -> None:
    first = judge.load_judge(drawn_sprites, tmp_path / "cache")
    (file,) = (tmp_path / "cache").iterdir()
    written = file.stat().st_mtime_ns
    again = judge.load_judge(drawn_sprites, tmp_path / "cache")
    assert file.stat().st_mtime_ns == written
    for name, tensor in first.state_dict().items():
        assert torch.equal(again.state_dict()[name], tensor)
