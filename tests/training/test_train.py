"""Training goes on after a kill as if nothing had happened, and stops in words where it cannot go on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from training import preset, train
from training.checkpoint import load, load_model
from training.datasets.sprites import Sprites
from training.export import export
from training.preset import Preset

NETWORKS = """
[model.frame_networks]
network = "simple"
encoder_widths = [4, 4, 4, 4]
decoder_widths = [4, 4, 4, 4]
output = "linear"
"""
ALTERNATING = f"""
about = "Algorithm 2, small"
dataset = "sprites"
[model]
content_dim = 6
motion_dim = 3
hidden_dim = 8
{NETWORKS}
[objective]
content_mmd = 10
motion_mmd = 60
motion_kl = 1
ramp = 0.5
[schedule]
iterations = 12
batch = 4
inner_steps = 2
decoder_rate = 3e-4
encoder_rate = 1e-4
critic_rate = 1e-4
decay = "steps"
decay_at = [4, 8]
"""
JOINT = f"""
about = "Everything at once, small"
dataset = "sprites"
bfloat16 = true
[model]
content_dim = 6
motion_dim = 3
hidden_dim = 8
content_posterior = "patches"
patch_widths = [4, 4, 4]
decoder = "modulated"
{NETWORKS}
[objective]
content_kl = 0.5
motion_kl = 0.3
dependence = 3
ramp = 0.5
[views]
content_frames = 2
motion_colours = true
decoded_frames = 2
[schedule]
iterations = 12
batch = 4
decoder_rate = 1e-3
encoder_rate = 1e-3
critic_rate = 1e-3
decay = "cosine"
average = 0.9
"""
SCRIPT = "import sys, training.train as t; t.CHECKPOINT_EVERY = 3; t.WATCHED_PAIRS = 4; sys.exit(t.main(sys.argv[1:]))"


@pytest.fixture(params=["alternating", "joint"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.toml"
    path.write_text({"alternating": ALTERNATING, "joint": JOINT}[request.param])
    return path


def test_a_killed_run_ends_with_the_same_weights_bit_for_bit(
    small: Path, drawn_sprites: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 3)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    arguments = ["--preset", str(small), "--data", str(drawn_sprites), "--device", "cpu", "--out"]
    assert train.main([*arguments, str(whole)]) == 0
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments, killed], stderr=subprocess.DEVNULL)
    while not (killed / "checkpoint.pt").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    interrupted = load(killed)
    assert interrupted is not None
    assert interrupted["iteration"] < 12
    assert train.main([*arguments, str(killed)]) == 0

    expected, found = load(whole), load(killed)
    assert expected is not None
    assert found is not None
    assert found["iteration"] == 12
    for part in ("algorithm", "average"):
        for name, tensor in expected[part].items():
            assert torch.equal(found[part][name], tensor), name
    lines = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, killed)]
    assert lines[1][-1] == lines[0][-1]


def run(text: str, data: Path, out: Path, **changes: object) -> None:
    (out.parent / "changed.toml").write_text(text)
    chosen = preset.load(str(out.parent / "changed.toml"))
    chosen = chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update=changes)})
    splits = (Sprites(data, split) for split in ("train", "validation"))
    train.train(chosen, *splits, out, device=torch.device("cpu"), seed=0)


@pytest.fixture(autouse=True)
def few_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "WATCHED_PAIRS", 4)


def test_an_inner_step_updates_critic_and_encoders_alone(drawn_sprites: Path, tmp_path: Path) -> None:
    """One iteration at rate 0 of one part leaves that part where it started, and moves the others."""
    start = train.RWAE
    for still, parts in (("decoder", ("decoder", "prior")), ("encoder", ("frame_encoder", "content", "motion"))):
        out = tmp_path / still
        run(ALTERNATING, drawn_sprites, out, iterations=1, **{f"{still}_rate": 1e-30})
        torch.manual_seed(0)
        before = start(preset.load(str(tmp_path / "changed.toml")).model).state_dict()
        after = load(out)
        assert after is not None
        for name, tensor in before.items():
            if name == "decoder.frames.convolutions.7.bias":
                continue  # starts at the data's mean
            moved = not torch.equal(after["algorithm"][f"model.{name}"], tensor)
            assert moved != name.startswith(parts), name


def test_the_log_names_every_term_and_the_held_out_swap_error(drawn_sprites: Path, tmp_path: Path) -> None:
    run(ALTERNATING, drawn_sprites, tmp_path / "run", iterations=2)
    terms, watched = (json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert {"reconstruction", "motion_mmd", "content_mmd", "motion_kl", "weight_motion_mmd"} <= set(terms)
    assert {"error", "swap_action", "swap_body", "swap_bottomwear", "swap_topwear", "swap_hair"} < set(watched)


def test_the_averaged_model_of_a_run_can_be_loaded(drawn_sprites: Path, tmp_path: Path) -> None:
    run(JOINT, drawn_sprites, tmp_path / "run", iterations=2)
    model = load_model(tmp_path / "run")
    state = load(tmp_path / "run")
    assert state is not None
    torch.testing.assert_close(model.decoder.state_dict()["content.0.bias"], state["average"]["decoder.content.0.bias"])
    with pytest.raises(FileNotFoundError, match="neither weights"):
        load_model(tmp_path)


def test_nan_stops_the_run_in_words(drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "nan.toml"
    path.write_text(JOINT.replace("decoder_rate = 1e-3", "decoder_rate = 1e30"))
    arguments = ["--preset", str(path), "--data", str(drawn_sprites), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main(arguments) == 1
    assert "NaN or infinite" in capsys.readouterr().err
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_missing_folder_and_an_unknown_preset_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--data", str(tmp_path), "--out", str(tmp_path / "run")]
    assert train.main(["--preset", "sprites-mmd-s", *arguments]) == 1
    assert "is missing" in capsys.readouterr().err
    assert train.main(["--preset", "nothing", *arguments]) == 1
    assert "there are" in capsys.readouterr().err


def test_a_run_starts_from_weights_and_what_rests_stays(drawn_sprites: Path, tmp_path: Path) -> None:
    run(JOINT, drawn_sprites, tmp_path / "first", iterations=1)
    text = JOINT.replace("dependence = 3", "content_cycle = 1\nmotion_cycle = 1").replace(
        "batch = 4", 'batch = 4\nlearns = ["decoder"]'
    )
    (tmp_path / "second.toml").write_text(text)
    arguments = ["--preset", str(tmp_path / "second.toml"), "--data", str(drawn_sprites), "--device", "cpu"]
    arguments += ["--out", str(tmp_path / "second"), "--from", str(tmp_path / "first")]
    assert train.main(arguments) == 0
    before, after = load_model(tmp_path / "first").state_dict(), load(tmp_path / "second")
    assert after is not None
    for name, tensor in before.items():
        learned = name.startswith(("decoder", "prior"))
        assert torch.equal(after["algorithm"][f"model.{name}"], tensor) != learned, name
    line = json.loads((tmp_path / "second" / "log.jsonl").read_text().splitlines()[0])
    assert {"content_cycle", "motion_cycle"} <= line.keys()
    assert json.loads((tmp_path / "second" / "run.json").read_text())["from"] == str(tmp_path / "first")
    export(tmp_path / "second", tmp_path / "weights")
    assert f"--from {tmp_path / 'first'} --seed 0" in (tmp_path / "weights" / "README.md").read_text()


def test_a_decoder_and_a_prior_of_other_widths_start_afresh(drawn_sprites: Path, tmp_path: Path) -> None:
    run(JOINT, drawn_sprites, tmp_path / "first", iterations=1)
    wider = JOINT.replace("decoder_widths = [4, 4, 4, 4]", "decoder_widths = [4, 4, 4, 6]")
    wider = wider.replace("motion_dim = 3", "motion_dim = 3\nprior_components = 2\ncontent_components = 5")
    (tmp_path / "second.toml").write_text(wider.replace("batch = 4", 'batch = 4\nlearns = ["decoder"]'))
    arguments = ["--preset", str(tmp_path / "second.toml"), "--data", str(drawn_sprites), "--device", "cpu"]
    arguments += ["--out", str(tmp_path / "second"), "--from", str(tmp_path / "first")]
    assert train.main(arguments) == 0
    before, after = (load_model(tmp_path / name).state_dict() for name in ("first", "second"))
    for name, tensor in before.items():
        if not name.startswith(("decoder", "prior")):
            assert torch.equal(after[name], tensor), name
    assert after["decoder.convolutions.3.weight"].shape[0] == 6
    assert after["prior.head.weights.bias"].shape == (2,)
    data = Sprites(drawn_sprites, "train", "cpu")
    some = torch.arange(0, len(data), 7)
    seen = load_model(tmp_path / "first").encode_content(data.clips(some))
    share, means = after["content_prior.logits"].softmax(0), after["content_prior.mean"]
    assert means.shape == (5, seen.shape[1])
    assert torch.cdist(means, seen).amin(1).max() < 0.2, "content's prior is fitted to clips"
    torch.testing.assert_close(share @ means, seen.mean(0), atol=0.05, rtol=0)


def test_weights_of_another_model_are_no_start(
    drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(JOINT, drawn_sprites, tmp_path / "first", iterations=1)
    path = tmp_path / "other.toml"
    path.write_text(ALTERNATING)
    arguments = ["--preset", str(path), "--data", str(drawn_sprites), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main([*arguments, "--from", str(tmp_path / "first")]) == 1
    assert "another model" in capsys.readouterr().err
    assert train.main([*arguments, "--from", str(tmp_path / "nothing")]) == 1
    assert "neither weights" in capsys.readouterr().err


def test_clips_of_no_recording_cannot_agree_with_others_of_theirs(
    drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "agreeing.toml"
    path.write_text(
        JOINT.replace("[model]", "[model]\nactions = 3").replace("[objective]", "[objective]\naction_agreement = 1")
    )
    arguments = ["--preset", str(path), "--data", str(drawn_sprites), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main(arguments) == 1
    assert "take action_agreement out of its [objective]" in capsys.readouterr().err


def test_content_is_not_looked_for_where_no_other_takes_are_known(
    drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "elsewhere.toml"
    path.write_text(JOINT.replace("[views]", "[views]\ncontent_elsewhere = 0.5"))
    arguments = ["--preset", str(path), "--data", str(drawn_sprites), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main(arguments) == 1
    assert "take content_elsewhere out of its [views]" in capsys.readouterr().err


def test_another_run_in_the_folder_is_not_overwritten(drawn_sprites: Path, tmp_path: Path) -> None:
    run(ALTERNATING, drawn_sprites, tmp_path / "run", iterations=1)
    with pytest.raises(train.TrainingError, match="another preset"):
        run(ALTERNATING, drawn_sprites, tmp_path / "run", iterations=2)


def test_a_full_disk_stops_the_run_in_words(
    drawn_sprites: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """/dev/full takes no byte, as a full disk does."""
    path = tmp_path / "small.toml"
    path.write_text(ALTERNATING)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").symlink_to("/dev/full")
    arguments = ["--preset", str(path), "--data", str(drawn_sprites), "--out", str(tmp_path / "run"), "--device", "cpu"]
    assert train.main(arguments) == 1
    assert "the disk is full" in capsys.readouterr().err


def test_rates_fall_as_the_paper_says() -> None:
    schedule = preset.load("sprites-mmd-s").schedule
    epoch = 9000 // 60
    assert [schedule.rate_factor(epoch * n) for n in (0, 49, 50, 79, 80, 499)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


def test_weights_rise_over_the_ramp() -> None:
    objective = Preset.model_validate({"name": "x", **preset.tomllib.loads(ALTERNATING)}).objective
    assert objective.weights(0.25)["motion_mmd"] == pytest.approx(30)
    assert objective.weights(0.6) == {"content_mmd": 10, "motion_mmd": 60, "motion_kl": 1}


def test_weights_rise_after_the_quiet() -> None:
    raw = {"name": "x", **preset.tomllib.loads(ALTERNATING)}
    objective = Preset.model_validate(raw | {"objective": raw["objective"] | {"quiet": 0.2, "ramp": 0.4}}).objective
    assert [objective.weights(at)["motion_mmd"] for at in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(
        [0, 0, 30, 60, 60]
    )
    at_once = Preset.model_validate(raw | {"objective": raw["objective"] | {"quiet": 0.2, "ramp": 0}}).objective
    assert [at_once.weights(at)["motion_mmd"] for at in (0.1, 0.2, 0.3)] == [0, 60, 60]
