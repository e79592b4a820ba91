"""A run goes all the way to weights that can be loaded, with its figures; what cannot be judged is said."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from rwae_core.weights import load_weights, save_weights
from training import evaluate, export, preset, train
from training.baselines.mocogan import MoCoGAN
from training.datasets import moving_shapes, sprites
from training.evaluation import actions, autoencoding, figures, judge
from training.evaluation import moving_shapes as shapes_protocol
from training.evaluation import sprites as sprites_protocol
from training.evaluation.judge import Recipe

from .datasets.test_mug import tree  # noqa: F401  a fixture
from .test_train import JOINT


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Judges of three steps, few test clips and short films: the way is tested here, not the figures."""
    monkeypatch.setattr(judge, "CACHE", tmp_path / "cache")
    for protocol in (sprites_protocol, shapes_protocol):
        quick = replace(protocol.RECIPE, required=0.0, steps=3, batch=2, widths=(4, 4, 4, 4))
        monkeypatch.setattr(protocol, "RECIPE", quick)
    monkeypatch.setitem(sprites.SPLITS, "test", (1000, 1004))
    monkeypatch.setitem(moving_shapes.SPLITS, "test", (1, 2))
    for plan in figures.PLANS:
        monkeypatch.setitem(figures.PLANS, plan, replace(figures.PLANS[plan], lengths=(8,)))
    monkeypatch.setattr(figures, "EMBEDDED_QUICK", 30)
    monkeypatch.setattr(autoencoding, "PROBED_QUICK", 30)
    monkeypatch.setattr(shapes_protocol, "QUICK", 30)


@pytest.fixture
def data(drawn_sprites: Path) -> Path:
    """What --data is pointed at: a folder for each dataset, of which there is one."""
    return drawn_sprites.parent


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, drawn_sprites: Path) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    chosen = folder / "small.toml"
    chosen.write_text(JOINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "WATCHED_PAIRS", 4)
        assert train.main(["--preset", str(chosen), "--out", str(folder / "run"), "--data", str(drawn_sprites)]) == 0
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A finished run, to write into."""
    return Path(shutil.copytree(trained, tmp_path / "run"))


def test_a_run_is_judged_exported_and_loaded(
    run: Path, drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = tmp_path / "weights" / "small"
    assert export.main([str(run), str(weights)]) == 0
    assert "Not evaluated" in (weights / "README.md").read_text()

    page, together = tmp_path / "report.html", tmp_path / "figures.json"
    given = ["--data", str(drawn_sprites), "--quick", "--repeats", "2", "--device", "cpu"]
    capsys.readouterr()
    assert evaluate.main([str(run), *given, "--html", str(page), "--json", str(together)]) == 0
    printed = capsys.readouterr().out
    assert printed == (run / "evaluation.md").read_text() + "\n"
    assert "*R-WAE(GAN) (S), as printed*" in printed
    found = json.loads((run / "evaluation.json").read_text())
    assert json.loads(together.read_text()) == {"models": [found]}
    assert (found["model"], found["method"], found["dataset"], found["clips"]) == ("run", "R-WAE", "sprites", 36)
    sections = {section["name"]: section["values"] for section in found["sections"]}
    assert list(sections) == ["reconstruction", "protocol_1", "swap", "protocol_3", "real", "probes"]
    assert set(sections["swap"]) == {"action", "body", "bottomwear", "topwear", "hair"}
    assert sections["swap"]["hair"]["std"] is not None
    with Image.open(run / "swap.gif") as picture:
        assert picture.n_frames == 8
    assert page.read_text().count("<img") == len(list(run.glob("*.png")))
    assert page.read_text().count("<video") == len(list(run.glob("*.gif")))

    assert export.main([str(run), str(weights)]) == 0
    model, config = load_weights(weights)
    assert config.dataset == "sprites"
    assert config.metrics["psnr_db"] == pytest.approx(sections["reconstruction"]["psnr_db"]["mean"], abs=0.01)
    assert set(config.metrics) == {"psnr_db", *(f"swap_{name}_error" for name in sections["swap"])}
    assert f"{sections['swap']['action']['mean']:.3f}" in (weights / "README.md").read_text()
    assert model.generate(1, 8).shape == (1, 8, 3, 64, 64)

    capsys.readouterr()
    assert evaluate.main([str(weights), *given, "--table", "2"]) == 0
    printed = capsys.readouterr().out
    assert "(Table 2)" in printed
    assert "Swap" not in printed
    assert "measured before" not in printed
    assert not (weights / "evaluation.json").exists()

    before = ["--data", str(drawn_sprites), "--table", "2"]
    assert evaluate.main([str(weights), str(together), *given, "--table", "2"]) == 0
    assert "| run, measured before |" in capsys.readouterr().out
    assert evaluate.main([str(together), *before]) == 0
    assert "| run, measured before |" in capsys.readouterr().out
    broken = tmp_path / "broken.json"
    broken.write_text('{"models": [{"model": "run"}]}')
    assert evaluate.main([str(broken), *before]) == 1
    assert "broken.json is not what `--json` writes" in capsys.readouterr().err


def test_models_of_different_data_go_to_their_protocols_and_what_is_missing_is_named(
    run: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of three models, one cannot be judged: the other two are, and the exit code says so."""
    folders = []
    for name in ("moving-shapes", "sm-mnist-mmd-s"):
        chosen = preset.load(name).model
        small = chosen.model_copy(update={"content_dim": 4, "motion_dim": 2, "hidden_dim": 8})
        torch.manual_seed(0)
        folders.append(tmp_path / name)
        save_weights(folders[-1], evaluate_build(small), dataset=name.removesuffix("-mmd-s"))
    root = tmp_path / "data"
    root.mkdir()
    (root / "sprites").symlink_to(next(data.glob("sprites*")).resolve())
    given = ["--data", str(root), "--quick", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert evaluate.main([str(run), *map(str, folders), *given]) == 1
    output = capsys.readouterr()
    assert "SM-MNIST needs MNIST as" in output.err
    assert "yann.lecun.com" in output.err
    assert output.out.index("## Sprites") < output.out.index("## Moving shapes")
    assert "*R-WAE (TFGAN), as printed*" in output.out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["moving-shapes", "run"]


def evaluate_build(config):  # type: ignore[no-untyped-def]
    from training.methods import build  # noqa: PLC0415

    return build(config)


def test_one_figure_computes_no_figures(run: Path, drawn_sprites: Path, tmp_path: Path) -> None:
    given = ["--data", str(drawn_sprites), "--figure", "2", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert evaluate.main([str(run), *given]) == 0
    assert sorted(path.name for path in (tmp_path / "out" / "run").iterdir()) == ["swap-sheet.png", "swap.gif"]


def test_a_judge_that_is_wrong_may_not_judge(
    run: Path, drawn_sprites: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sprites_protocol, "RECIPE", replace(sprites_protocol.RECIPE, required=99.9))
    assert evaluate.main([str(run), "--data", str(drawn_sprites), "--quick", "--device", "cpu"]) == 1
    assert "the judge of sprites may not judge" in capsys.readouterr().err


def test_weights_that_do_not_say_what_they_were_trained_on_are_asked_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chosen = preset.load("moving-shapes").model.model_copy(update={"hidden_dim": 8})
    save_weights(tmp_path / "mine", evaluate_build(chosen))
    assert evaluate.main([str(tmp_path / "mine"), str(tmp_path / "nothing"), "--device", "cpu"]) == 1
    errors = capsys.readouterr().err
    assert '"dataset": ""' in errors
    assert "moving-shapes" in errors
    assert "holds neither weights" in errors


def test_table_3_on_mugs_layout(tree: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:  # noqa: F811
    """MUG itself is licensed: its protocol runs on a tree in its layout, with an untrained MoCoGAN."""
    monkeypatch.setattr(actions, "EXPRESSION", Recipe({"expression": 6}, 0.0, 2, 2, widths=(4, 4, 4, 4), warps=True))
    monkeypatch.setattr(actions, "QUICK", 12)
    monkeypatch.setattr(actions, "MATCHED_ON", 2)
    config = preset.load("mug-mocogan").model.model_copy(update={"widths": (8, 8, 8, 8)})
    model = MoCoGAN(config).eval()  # type: ignore[arg-type]
    found = evaluate.Found(tmp_path, model, "mug", "MoCoGAN")
    request = evaluate.Request("gan", "MoCoGAN", repeats=1, quick=True)
    result = evaluate.evaluate(found, tree, request, torch.device("cpu"))
    (section,) = result.sections
    assert list(section.values) == ["accuracy", "inception_score", "entropy_given_clip", "entropy", "fid"]
    assert {picture.name for picture in result.pictures} == {"generated-8", "generated-8-sheet"}
