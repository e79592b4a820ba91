"""The container image: the local server's tests, and who it runs as, what it writes, how it ends.

They take 3 minutes, and want an image and the command that starts it in `IMAGE_RUN`: CONTRIBUTING.md says how.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from elsewhere import contract
from serving import ROOT, apng, wait_for
from test_load import run_clients

IMAGE_RUN = os.environ.get("IMAGE_RUN", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not IMAGE_RUN, reason="IMAGE_RUN does not say what starts the image: see CONTRIBUTING.md"),
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0,
        reason="looks into the container's processes: run it on Linux, as root",
    ),
]
globals().update(contract())

SYSTEM = {"dev", "proc", "sys"}
"""Folders that are no files of the image's."""
RUNTIME = {"/", "/etc", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run", "/run/.containerenv"}
"""What those that run containers lay into them as they start them."""


@dataclass(frozen=True)
class Container:
    """A running image: what answers, the server's process as the host sees it, and the command that started it."""

    client: httpx.Client
    server: psutil.Process
    command: subprocess.Popen[bytes]

    @property
    def root(self) -> Path:
        """The root of its file system."""
        return Path(f"/proc/{self.server.pid}/root")


@contextlib.contextmanager
def container(weights_dir: Path, **settings: str) -> Iterator[Container]:
    """The image, started as its users do, with a folder of weights; it is ready."""
    for folder in (weights_dir, *weights_dir.iterdir()):
        folder.chmod(0o755)  # pytest's are for their owner alone, who is somebody else in there
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {"HOST": "127.0.0.1", "PORT": str(port), "DECODE_WORKERS": "2", "THREADS": "1", **settings}
    options = [part for name, value in told.items() for part in ("--env", f"RWAE_{name}={value}")]
    options += ["--volume", f"{weights_dir}:/app/weights:ro"]
    command = subprocess.Popen(shlex.split(IMAGE_RUN.format(options=shlex.join(options))), cwd=ROOT)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            wait_for(lambda: command.poll() is not None or _ready(client), 120)
            assert command.poll() is None, "the command ended"
            yield Container(client, _server(port), command)
    finally:
        with contextlib.suppress(StopIteration):
            _server(port).terminate()
        command.wait(60)


def _ready(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return client.get("/readyz").status_code == 200
    return False


def _server(port: int) -> psutil.Process:
    """The server's own process: the one of that port that was not started by another such."""

    def is_one(process: psutil.Process | None) -> bool:
        with contextlib.suppress(psutil.Error):
            return (
                process is not None
                and process.cmdline()[1:] == ["-m", "service"]
                and process.environ().get("RWAE_PORT") == str(port)
            )
        return False

    return next(process for process in psutil.process_iter() if is_one(process) and not is_one(process.parent()))


@pytest.fixture(scope="module")
def running(weights_dir) -> Iterator[Container]:
    with container(weights_dir) as started:
        yield started


@pytest.fixture(scope="module")
def client(running) -> httpx.Client:
    return running.client


@pytest.fixture(scope="module")
def mixed(mixed_dir) -> Iterator[httpx.Client]:
    with container(mixed_dir) as started:
        yield started.client


@pytest.fixture(scope="module")
def small(weights_dir) -> Iterator[httpx.Client]:
    with container(weights_dir, MAX_UPLOAD_MB="0.25") as started:
        yield started.client


def test_it_runs_as_nobody_who_may_do_anything(running):
    running.client.post("/encode", files={"file": apng(1)}).raise_for_status()
    processes = [running.server, *running.server.children(recursive=True)]
    assert len(processes) > 2, "decoding processes among them"
    assert {tuple(process.uids()) for process in processes} == {(10001, 10001, 10001)}
    assert {tuple(process.gids()) for process in processes} == {(10001, 10001, 10001)}


def test_it_has_no_compiler_tests_or_caches(running):
    for name in ("cc", "gcc", "g++", "clang", "make", "git"):
        assert not list(running.root.glob(f"usr/*bin/{name}")), name
    (packages,) = running.root.glob("opt/rwae/lib/python3*/site-packages")
    assert (packages / "torch").is_dir()
    assert not [folder for folder in packages.rglob("test*") if folder.is_dir() and folder.name in ("test", "tests")]
    assert not list(running.root.glob("root/.cache/*"))
    assert not list(running.root.glob("opt/rwae/bin/pip*"))
    assert sorted(path.name for path in (running.root / "app").iterdir()) == [
        "rwae_client",
        "rwae_core",
        "service",
        "weights",
    ]


def test_under_load_it_writes_nowhere_else(weights_dir):
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["cpu"]
    assert composed["read_only"]
    writable = {entry.split(":")[1] for entry in composed["volumes"]}
    writable |= {entry.split(":")[0] for entry in composed["tmpfs"]}
    with container(weights_dir) as fresh:
        for answer, _ in run_clients(fresh.client, seconds=10):
            answer.raise_for_status()
        spooled = {"content": bytes(5_000_000), "motion": bytes(5_000_000)}  # so large that they pass through a file
        assert fresh.client.post("/swap", files=spooled).status_code == 415
        changed = set(_changed(fresh.root, fresh.server.create_time())) - RUNTIME
    assert "/tmp" in changed, "it does write, and that shows"  # noqa: S108
    assert not {path for path in changed if not any(Path(path).is_relative_to(folder) for folder in writable)}


def _changed(root: Path, since: float) -> Iterator[str]:
    """Files and folders that were written, made or left by another file since then."""
    for folder, folders, files in os.walk(root):
        if folder == str(root):
            folders[:] = sorted(set(folders) - SYSTEM)
        for path in (folder, *(f"{folder}/{name}" for name in files)):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path, follow_symlinks=path == str(root)).st_ctime > since:
                    yield str("/" / Path(path).relative_to(root))


def test_its_health_is_asked_by_its_own_command(running):
    said = re.search(r"^HEALTHCHECK .*\\\n\s+CMD (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert said
    environment = running.server.environ()
    inside = ["chroot", "--userspec=10001:10001", str(running.root), *json.loads(said[1])]
    assert shutil.which("chroot")
    assert subprocess.run(inside, env=environment, check=False).returncode == 0
    elsewhere = {**environment, "RWAE_PORT": "1"}
    assert subprocess.run(inside, env=elsewhere, check=False, stderr=subprocess.DEVNULL).returncode != 0


def test_a_signal_ends_it_with_0_when_what_runs_is_done(weights_dir):
    with container(weights_dir) as ending:
        url = ending.client.base_url
        body = b'{"seed": 1, "frames": 8}'
        with socket.create_connection((url.host, url.port), timeout=30) as begun:
            head = "POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            begun.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
            wait_for(lambda: "rwae_requests_in_flight 2.0" in ending.client.get("/metrics").text)
            ending.server.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            begun.sendall(body)
            assert b" 200 OK" in begun.recv(100)
        assert ending.command.wait(30) == 0
