"""Every example of the documentation and of `--help` runs, against a service with the shipped weights.

Examples say localhost:8000 and run on whatever port is free. What cannot run here is told by its program and checked by
other means: see `ELSEWHERE`. Training by the README's commands, on one's own clips, is in `tests/test_own_clips.py`.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from fences import EXAMPLES, PAGES, ROOT, TEXT, Example, commands, fences, module_of, statements
from typer.testing import CliRunner

from rwae_client import Client
from service.command.asking import UNSHARED
from service.command.verbs import app as rwae
from training import preset

sys.path.insert(0, str(ROOT / "tests" / "service"))
from serving import own_process, wait_for

ALL = [example for page in PAGES for example in fences(page)]
SHELL = [example for example in ALL if example.language == "sh"]
MODULES = ("service", "training.train", "training.evaluate", "training.export", "training.datasets")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


@dataclass(frozen=True)
class Place:
    """A folder as the README expects it, and a service.

    Attributes:
        folder: Has `examples` and `weights`, and a new model in `runs/new`.
        url: Where the service of these weights listens.
        environment: Of commands that are run here.
    """

    folder: Path
    url: str
    environment: dict[str, str]

    def here(self, text: str) -> str:
        """An example with this service's address."""
        return text.replace("http://localhost:8000", self.url).replace("localhost:8000", self.url)

    def run(self, command: list[str], text: str) -> str:
        """What an example prints; fails with what it says where it fails."""
        done = subprocess.run(
            command,
            input=text,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("place")
    shutil.copytree(ROOT / "weights", folder / "weights")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copytree(ROOT / "weights" / "sprites", folder / "runs" / "new")
    shutil.copy(ROOT / "README.md", folder)
    limits = {f"RWAE_{name.upper()}": str(value) for name, value in UNSHARED.items()}
    with own_process(folder / "weights", folder / "log", **limits) as (url, _):
        told = {name: value for name, value in os.environ.items() if not name.startswith("RWAE_")}
        told["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), told["PATH"]])
        told["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, sys.path)])
        yield Place(folder, url, {**told, "RWAE_URL": url})


# What others run.


def path_exists(statement: str) -> None:
    for path in re.findall(r"(?<![\w./<-])(?:deploy|training|tests|service)/[\w./-]+\w", statement):
        assert (ROOT / path).exists(), path
    for extras in re.findall(r"\.\[([\w,]+)\]", statement):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def docker(statement: str) -> None:
    path_exists(statement)
    for name in re.findall(r"--build-arg (\w+)=", statement):
        assert re.search(rf"^ARG {name}\b", (ROOT / "Dockerfile").read_text(), re.MULTILINE), name
    for name in re.findall(r"--profile (\w+)", statement):
        assert re.search(rf"profiles:.*\b{name}\b", (ROOT / "compose.yaml").read_text()), name


def make(statement: str) -> None:
    for command in commands(statement):
        if command[0] == "make":
            subprocess.run(["make", "-n", *command[1:]], cwd=ROOT, capture_output=True, check=True)  # noqa: S607


def module(statement: str) -> None:
    """Its options are there, and its presets; what it does is tested where it lies."""
    for command in commands(statement):
        if name := module_of(command):
            shown = help_of(name)
            for word in command[command.index(name) + 1 :]:
                assert not word.startswith("--") or word in shown, word
            for name in re.findall(r"--preset ([\w/.-]+)(?=\s|$)", " ".join(command)):
                assert name.endswith(".toml") or name in preset.names()


def nothing(statement: str) -> None:
    path_exists(statement)


ELSEWHERE: dict[str, Callable[[str], None]] = {
    "docker": docker,  # needs a daemon; tests/deploy and tests/service/test_image.py test the image
    "kubectl": path_exists,  # needs a cluster; tests/deploy checks the manifests
    "serve": path_exists,  # needs Ray; tests/service/test_cluster.py runs it
    "pip": path_exists,  # changes the environment
    ".venv/bin/pip": path_exists,
    ".venv/bin/pre-commit": nothing,  # changes the repository
    "../shared/tools/build-image": path_exists,
    "make": make,  # makes an environment first; its recipes are what the other tests run
    "training": module,  # hours, and datasets
    "benchmarks": module,  # minutes of a quiet machine
}


def checker(statement: str) -> Callable[[str], None] | None:
    """How a statement is checked that does not run here; None where it does."""
    for command in commands(statement):
        runs = module_of(command)
        name = runs.split(".")[0] if runs else command[0]
        if name in ELSEWHERE:
            return ELSEWHERE[name]
    return None


def serves(statement: str) -> bool:
    """Whether it runs until it is stopped."""
    return any(
        command[:2] == ["rwae", "serve"] or command == ["python", "-m", "service"] for command in commands(statement)
    )


@functools.cache
def help_of(name: str) -> str:
    """What `python -m name --help` prints."""
    shown = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(shown):
        patch.setattr(sys, "argv", [name, "--help"])
        patch.setenv("COLUMNS", "300")
        with pytest.raises(SystemExit, match=r"^0$"):
            runpy.run_module(name, run_name="__main__", alter_sys=True)
    return shown.getvalue()


# Pages.


def test_fences_are_of_languages_that_are_known() -> None:
    assert {example.language for example in ALL} <= EXAMPLES | TEXT
    assert len(SHELL) > 20


@pytest.mark.parametrize("example", SHELL, ids=str)
def test_shell(example: Example, place: Place) -> None:
    runs = []
    for statement in statements(example.text):
        if check := checker(statement):
            check(statement)
        elif serves(statement):
            started_and_stopped(statement, place)
        else:
            runs.append(statement)
    perform(runs, place)


@pytest.mark.parametrize("example", [each for each in ALL if each.language == "python"], ids=str)
def test_python(example: Example, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    monkeypatch.setattr(Client.__init__, "__defaults__", (place.url,))
    exec(compile(place.here(example.text), example.where, "exec"), {"__name__": "__main__"})  # noqa: S102


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node, 20 or later: apt-get install nodejs")
@pytest.mark.parametrize("example", [each for each in ALL if each.language == "js"], ids=str)
def test_javascript(example: Example, place: Place) -> None:
    told = place.run(["node", "--input-type=module", "-"], place.here(example.text))
    assert told.splitlines()[0] == "video/mp4 2 clips of seed 7"


# Help.

EPILOGS = [
    Example(f"rwae {command.callback.__name__}", "sh", line)
    for command in rwae.registered_commands
    for line in re.findall(r"^`(.+)`$", command.epilog, re.MULTILINE)
]


@pytest.mark.parametrize("example", EPILOGS, ids=lambda example: example.text)
def test_help_of_the_command_line(example: Example, place: Place) -> None:
    if serves(example.text):
        started_and_stopped(example.text, place)
    else:
        perform([example.text], place)


@pytest.mark.parametrize("name", MODULES)
def test_help_of_modules(name: str, place: Place) -> None:
    lines = [line.strip() for line in re.split("^examples?:$", help_of(name), flags=re.MULTILINE)[1].splitlines()]
    for line in filter(None, lines):
        if check := checker(line):
            check(line)
        elif serves(line):
            started_and_stopped(line, place)
        else:
            perform([line], place)


def perform(statements: list[str], place: Place) -> None:
    """Runs statements in one shell; commands of `rwae` that want none within this process, which spares many starts."""
    if not all(re.fullmatch(r"rwae [^|<>&;$]+", statement) for statement in statements):
        place.run(["bash"], "set -euo pipefail\n" + place.here("\n".join(statements)))
        return
    with contextlib.chdir(place.folder), pytest.MonkeyPatch.context() as patch:
        patch.setenv("RWAE_URL", place.url)
        for statement in statements:
            done = CliRunner().invoke(rwae, shlex.split(place.here(statement), comments=True)[1:])
            assert done.exit_code == 0, f"{statement}\n{done.output}"


def started_and_stopped(statement: str, place: Place) -> None:
    """Serves, on a free port; of a device that is not here it says so."""
    statement = re.sub(r"--port \d+", "--port 0", re.sub(r"RWAE_PORT=\d+", "", statement))
    log = place.folder / "started.log"
    with log.open("w") as file:
        started = subprocess.Popen(
            ["bash", "-c", re.sub(r"(rwae|python) ", r"exec \1 ", statement, count=1)],  # noqa: S607
            cwd=place.folder,
            env={**place.environment, "RWAE_PORT": "0"},
            stdout=file,
            stderr=file,
        )
        try:
            wait_for(lambda: "running on" in log.read_text() or started.poll() is not None, 120)
            if "cuda" in statement and not torch.cuda.is_available():
                assert "this machine has 0 usable GPUs" in log.read_text()
                return
            assert started.poll() is None, log.read_text()
        finally:
            started.send_signal(signal.SIGKILL)
            started.wait()
