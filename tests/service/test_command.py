"""The command `rwae`: against a service, within the process, through pipes; what it says when something is wrong."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence
from serving import ROOT, apng, held, own_process, wait_for
from typer.testing import CliRunner, Result

from service.command.failure import FAILED, LATER, MISUSED
from service.command.verbs import app as rwae

Run = Callable[..., Result]
RWAE = [sys.executable, "-c", "from service.command import main; main()"]


@pytest.fixture
def run(client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with clips `a.png` and `b.png`, against the shared service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RWAE_URL", str(client.base_url))
    for seed, name in enumerate("ab"):
        Path(f"{name}.png").write_bytes(apng(seed, 8 - seed))

    def invoke(*arguments: str, stdin: bytes = b"") -> Result:
        result = CliRunner().invoke(rwae, arguments, input=stdin)
        assert "Traceback" not in result.output
        return result

    return invoke


def pixels(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as image:
        return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def frames_of(path: str) -> tuple[int, tuple[int, int]]:
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1), image.size


def test_models_as_a_table_and_for_programs(run: Run) -> None:
    assert "colour (default)" in run("models").stdout
    assert [model["id"] for model in json.loads(run("models", "--json").stdout)] == ["colour", "grey", "weak"]


def test_codes_of_one_clip_go_through_pipes_and_come_back(run: Run) -> None:
    told = run("encode", "-", stdin=Path("a.png").read_bytes())
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["frames"] == 8
    assert run("encode", "a.png", "-o", "a.json").exit_code == 0
    assert Path("a.json").read_text() == told.stdout
    back = run("decode", "-", "--format", "apng", stdin=told.stdout_bytes)
    assert run("swap", "a.png", "a.png", "-o", "self.apng").exit_code == 0
    difference = pixels(back.stdout_bytes).astype(int) - pixels(Path("self.apng").read_bytes())
    assert abs(difference).max() <= 1


def test_many_clips_by_a_pattern_go_into_a_folder_or_lines(run: Run) -> None:
    assert run("encode", "?.png", "-o", "codes/").exit_code == 0
    assert sorted(path.name for path in Path("codes").iterdir()) == ["a.json", "b.json"]
    lines = run("encode", "a.png", "b.png").stdout.splitlines()
    assert [json.loads(line)["frames"] for line in lines] == [8, 7]
    assert run("decode", "codes/*.json", "-o", "clips/", "--format", "gif").exit_code == 0
    assert frames_of("clips/b.gif") == (7, (64, 64))


def test_one_bad_clip_does_not_stop_the_others(run: Run) -> None:
    Path("bad.png").write_bytes(b"nothing")
    result = run("encode", "a.png", "bad.png", "b.png", "-o", "codes/")
    assert result.exit_code == FAILED
    assert sorted(path.name for path in Path("codes").iterdir()) == ["a.json", "b.json"]
    assert result.stderr.startswith("error: bad.png: file: The file is of no supported kind")


def test_swaps_both_ways_many_and_as_a_grid(run: Run) -> None:
    assert run("swap", "a.png", "b.png", "-o", "out.gif", "--both", "--scale", "2").exit_code == 0
    assert (frames_of("out.gif"), frames_of("out-back.gif")) == ((7, (128, 128)), (8, (128, 128)))
    assert run("swap", "a.png", "*.png", "-o", "swaps/", "--format", "png").exit_code == 0
    assert sorted(path.name for path in Path("swaps").iterdir()) == ["a-a.png", "a-b.png"]
    assert run("swap", "a.png", "b.png", "-o", "grid.apng", "--grid").exit_code == 0
    assert frames_of("grid.apng") == (8, (128, 128))
    run("swap", "a.png", "b.png", "-o", "one.apng")
    grid, one = (pixels(Path(f"{name}.apng").read_bytes()).astype(int) for name in ("grid", "one"))
    assert abs(grid[:7, :64, 64:] - one).max() <= 1, "row a, column b"


def test_generates_in_a_grid_with_what_is_kept(run: Run) -> None:
    assert run("generate", "-n", "4", "--frames", "3", "--seed", "7", "-o", "four.png").exit_code == 0
    assert frames_of("four.png") == (1, (3 * 128, 128))
    first = Path("four.png").read_bytes()
    run("generate", "-n", "4", "--frames", "3", "--seed", "7", "-o", "four.png", "--content", "a.png")
    assert Path("four.png").read_bytes() != first
    drawn = run("generate", "-o", "one.mp4", "--motion", "b.png", "--frames", "20")
    assert (drawn.exit_code, drawn.stderr[:5]) == (0, "seed "), "who did not choose one can have it again"


def test_goes_from_one_clip_to_another(run: Run) -> None:
    assert run("interpolate", "a.png", "b.png", "--steps", "3", "-o", "row.apng").exit_code == 0
    assert frames_of("row.apng") == (7, (3 * 64, 64))
    run("encode", "a.png", "-o", "a.json")
    assert run("interpolate", "a.json", "b.png", "--vary", "both", "--steps", "2", "-o", "two/").exit_code == 0
    assert sorted(path.name for path in Path("two").iterdir()) == ["step-01.mp4", "step-02.mp4"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("encode nothing.mp4", FAILED, "error: nothing.mp4: No such file or directory."),
        ("encode none/*.mp4", FAILED, "error: none/*.mp4: No file fits this pattern."),
        ("encode a.png -o no/such/a.json", FAILED, "error: no/such/a.json: No such file or directory."),
        ("encode a.png -m missing", FAILED, "error: There is no model of that name; served are: colour, grey, weak."),
        ("generate --action 1 -o a.mp4", FAILED, "error: action: The model 'colour' has no actions; leave this"),
        ("generate -n 64 --frames 64 -o a.mp4", FAILED, "error: n: 64 × 64 frames are too many: ask for 1024"),
        ("decode a.png -o a.mp4", FAILED, "error: a.png: These are not codes: give what 'rwae encode' writes."),
        ("swap a.png b.png -o out.txt", MISUSED, "does not say a format"),
        ("swap a.png b.png a.png -o out.mp4", MISUSED, "give a folder"),
        ("swap a.png b.png --both", MISUSED, "Two clips do not go into one pipe"),
        ("swap a.png", MISUSED, "Missing argument"),
        ("generate --scale 99 -o a.mp4", MISUSED, "--scale"),
        ("models --url http://127.0.0.1:9", LATER, "error: http://127.0.0.1:9 cannot be reached: "),
    ],
)
def test_what_is_wrong_is_a_sentence_on_standard_error(run: Run, arguments: str, code: int, says: str) -> None:
    result = run(*arguments.split())
    assert result.exit_code == code
    assert says in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""


def test_help_says_exit_codes_and_every_command_has_examples(run: Run) -> None:
    assert "Exit codes: 0 done" in run("--help").stdout
    for command in rwae.registered_commands:
        assert "**Examples**" in command.epilog
        assert "rwae " in run(command.callback.__name__, "--help").stdout


def spawn(*arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    told = {**os.environ, **environment}
    return subprocess.run([*RWAE, *arguments], cwd=ROOT, env=told, capture_output=True, timeout=120, check=False)


def test_without_an_address_the_models_answer_in_the_process(weights_dir: Path, tmp_path: Path) -> None:
    """More than a shared service allows, too; and what it says goes to standard error alone."""
    made = spawn("generate", "-n", "11", "--frames", "100", "--seed", "7", RWAE_WEIGHTS_DIR=str(weights_dir))
    assert made.returncode == 0, made.stderr
    assert made.stdout[4:8] == b"ftyp"
    lost = spawn("generate", "-o", str(tmp_path / "a.mp4"), "--weights", str(tmp_path))
    assert (lost.returncode, lost.stdout) == (LATER, b"")
    assert lost.stderr.decode().splitlines()[-1] == "error: No model is loaded; the log of the service says why."


@pytest.mark.parametrize("command", ["serve", "models"])
def test_settings_that_are_wrong_are_told(command: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RWAE_URL")
    monkeypatch.setenv("RWAE_THREADS", "0")
    wrong = run(command)
    assert (wrong.exit_code, wrong.stdout) == (FAILED, "")
    assert wrong.stderr.startswith("error: RWAE_THREADS: Input should be greater than or equal to 1")


def test_serve_serves_and_ends_with_0(weights_dir: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with own_process(weights_dir, log, command=[*RWAE, "serve", "--port", "0"]) as (url, process):
        assert httpx.get(f"{url}/models").json()["models"][0]["id"] == "colour"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_ctrl_c_ends_it_with_130(app, client: httpx.Client, tmp_path: Path) -> None:
    with held(app.state.engine):
        started = subprocess.Popen(
            [*RWAE, "generate", "--url", str(client.base_url), "-o", str(tmp_path / "a.mp4")],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            # Whoever runs the tests in the background may ignore it, which children inherit.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )
        wait_for(lambda: app.state.engine.waiting > 0)
        started.send_signal(signal.SIGINT)
        assert started.wait(30) == 130
        assert started.stderr.read() == b""


def test_shells_complete_commands_and_options() -> None:
    for words, expected in (("rwae sw", "swap"), ("rwae swap --gr", "--grid"), ("rwae swap --fit st", "stretch")):
        found = spawn(_RWAE_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=str(len(words.split()) - 1))
        assert found.stdout.decode().split() == [expected]


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    for missing, says in (("typer", "pip install 'rwae[serve]'"), ("fastapi", "pip install 'rwae[serve]'")):
        (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError(name='{missing}')")
        found = spawn("models", PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
        (tmp_path / f"{missing}.py").unlink()
        assert found.returncode == FAILED
        assert f"'{missing}', which is not installed" in found.stderr.decode()
        assert says in found.stderr.decode()
        assert "Traceback" not in found.stderr.decode()
