"""Several processes make the run that one makes, whatever it descends, and go on with one another's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.training import every_objective
from tests.training.test_train import JOINT, SCRIPT
from training import processes, train
from training.checkpoint import load
from training.processes import ProcessesError

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As torchrun gives each process; tensors are small."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings") / "noise"
    every_objective.record(folder)
    return folder


@pytest.fixture(scope="module")
def two(recordings: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The runs of two processes, and what these printed."""
    out = tmp_path_factory.mktemp("two")
    program = ["-m", "tests.training.every_objective", str(recordings), str(out)]
    done = subprocess.run([*TORCHRUN, "2", *program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, done


@pytest.mark.parametrize("name", every_objective.kinds())
def test_two_processes_descend_what_one_does(
    name: str, recordings: Path, two: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """12 steps in float64, the average after the tenth: every term of every step, and all that the run consists of."""
    every_objective.run(every_objective.kinds()[name], recordings, tmp_path)
    one, both = (
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (tmp_path, two[0] / name)
    )
    assert len(one) >= every_objective.STEPS
    assert [line.keys() for line in both] == [line.keys() for line in one]
    for expected, found in zip(one, both, strict=True):
        assert found == pytest.approx(expected, rel=1e-6, abs=1e-12)
    expected, found = load(tmp_path), load(two[0] / name)
    assert expected is not None
    assert found is not None
    for part in ("algorithm", "average", "generator"):
        torch.testing.assert_close(found[part], expected[part], rtol=1e-6, atol=1e-9)


def test_a_batch_that_cannot_be_shared_evenly_is_refused_by_all(
    two: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    refusals = [line for line in two[1].stdout.splitlines() if "cannot be shared evenly among 2 processes" in line]
    assert sorted(line[:2] for line in refusals) == ["0:", "1:"]
    assert all("batch of 17" in line for line in refusals)


def test_the_first_process_alone_shows_progress(two: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    assert two[1].stderr.count(f"0/{every_objective.STEPS} [00:00<?, ?it/s]") == len(every_objective.kinds())


def iteration(out: Path) -> int:
    state = load(out)
    return 0 if state is None else state["iteration"]


def test_a_killed_run_goes_on_with_another_number_of_processes(drawn_sprites: Path, tmp_path: Path) -> None:
    """One process until it is killed, two until the first is, one to the end: the run of one process, in float32."""
    preset, whole, killed = tmp_path / "joint.toml", tmp_path / "whole", tmp_path / "killed"
    preset.write_text(JOINT.replace("iterations = 12", "iterations = 40").replace("bfloat16 = true", ""))
    script = f"import os; open({str(tmp_path)!r} + '/pid' + os.environ.get('RANK', '0'), 'w').write(str(os.getpid()))\n"
    script += SCRIPT.replace("t.CHECKPOINT_EVERY = 3", "t.CHECKPOINT_EVERY = t.LOG_EVERY = 5")
    one = [sys.executable, "-c", script]
    arguments = ["--preset", str(preset), "--data", str(drawn_sprites), "--device", "cpu", "--out"]
    for start in (one, [*TORCHRUN, "2", "--no-python", *one]):
        before = iteration(killed)
        process = subprocess.Popen([*start, *arguments, killed], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while iteration(killed) <= before:
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(int((tmp_path / "pid0").read_text()), signal.SIGKILL)
        assert process.wait(60) != 0, "torchrun ends when one of its processes does"
        assert before < iteration(killed) < 40
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(train, "WATCHED_PAIRS", 4)
        patched.setattr(train, "CHECKPOINT_EVERY", 5)
        patched.setattr(train, "LOG_EVERY", 5)
        assert train.main([*arguments, str(killed)]) == 0
        assert train.main([*arguments, str(whole)]) == 0
    runs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (whole, killed)]
    assert len(runs[0]) == 9  # and what was watched
    for expected, found in zip(*runs, strict=True):
        assert found == pytest.approx(expected, rel=1e-3), expected["iteration"]


@pytest.mark.parametrize(
    ("environment", "arguments", "message"),
    [
        ({"WORLD_SIZE": "2"}, [], "torchrun did not start this process"),
        ({"TORCHELASTIC_RUN_ID": "x", "LOCAL_RANK": "1"}, ["--device", "cuda:1"], "--device cuda:1 is one for all"),
        ({"TORCHELASTIC_RUN_ID": "x", "LOCAL_RANK": "64"}, ["--device", "cuda"], "process 64 on this host has no GPU"),
    ],
)
def test_processes_that_cannot_work_together_are_told_why(
    environment: dict[str, str],
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert train.main(arguments) == 1
    assert message in capsys.readouterr().err
    with pytest.raises(ProcessesError, match=message):
        processes.join(*arguments[1:])
