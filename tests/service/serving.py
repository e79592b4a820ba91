"""What tests of the service share: a server, an engine kept busy, clips."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import httpx
import numpy as np
import psutil
import torch
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from rwae_core.media.encode import encode_video
from service.engine import Engine
from service.server import Server, config_of
from service.verbs.base import Operation
from service.verbs.video import Frames

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]


@contextlib.contextmanager
def serving(app: FastAPI) -> Iterator[httpx.Client]:
    """A client of the application behind a real server on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = config_of(app, app.state.settings)
        config.timeout_graceful_shutdown = 5
        server = Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
                wait_for(lambda: server.started and app.state.engine is not None)
                yield client
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def own_process(
    weights_dir: Path,
    log: Path,
    *,
    wrapped: Sequence[str] = (),
    command: Sequence[str] = (sys.executable, "-m", "service"),
    **environment: str,
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A service in a process of its own: its address and the process; what it says goes into `log`.

    `wrapped` is a command that ends by becoming the one that follows it.
    """
    told = {"RWAE_WEIGHTS_DIR": str(weights_dir), "RWAE_PORT": "0", "RWAE_DECODE_WORKERS": "2", "RWAE_THREADS": "1"}
    with log.open("w") as file:
        started = subprocess.Popen(
            [*wrapped, *command], cwd=ROOT, env={**os.environ, **told, **environment}, stdout=file, stderr=file
        )
        try:
            wait_for(lambda: "running on" in log.read_text(), 60)
            found = re.search(r"http://[\d.:]+", log.read_text())
            assert found
            wait_for(lambda: httpx.get(f"{found[0]}/readyz").status_code == 200, 60)
            yield found[0], started
        finally:
            started.kill()
            started.wait()


def only(weights_dir: Path, folder: Path, model_id: str = "colour") -> Path:
    """A folder with one of the models, so that a process is ready sooner."""
    weights = folder / "weights"
    weights.mkdir()
    (weights / model_id).symlink_to(weights_dir / model_id)
    return weights


def resident_mb(pid: int) -> float:
    """Resident memory of a process and its children."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / 2**20 + sum(map(resident_mb, children(pid)))


def open_files(pid: int) -> int:
    """Files and sockets that a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def children(pid: int) -> list[int]:
    """Processes that a process has started, from whichever of its threads."""
    return [child.pid for child in psutil.Process(pid).children()]


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    """The sum of a metric's samples with these labels."""
    found = 0.0
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            if sample.name == name and labels.items() <= sample.labels.items():
                found += sample.value
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


class Hold(Operation[None]):
    """Keeps the engine busy until it is let go."""

    def __init__(self) -> None:
        self.started, self.release = threading.Event(), threading.Event()

    @property
    def shape(self) -> tuple[object, ...]:
        return (id(self),)

    @property
    def cost(self) -> int:
        return 1

    @classmethod
    def run(cls, network: object, batch: object) -> list[None]:
        (hold,) = batch
        hold.started.set()
        assert hold.release.wait(60)
        return [None]


@contextlib.contextmanager
def held(engine: Engine) -> Iterator[Hold]:
    """What is submitted meanwhile waits."""
    hold = Hold()
    engine.submit(engine.library.find(None), hold)
    assert hold.started.wait(30)
    try:
        yield hold
    finally:
        hold.release.set()


def moving(seed: int, frames: int = 8, size: int = 64) -> Frames:
    """A clip of coloured blocks that drift and blink."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(size // 4, 0).repeat(size // 4, 1)
    shift = int(rng.integers(2, 6))
    clip = np.stack([np.roll(blocks, (shift * step, step), (0, 1)) for step in range(frames)])
    clip[::2, : size // 4] = rng.integers(0, 256, 3, dtype=np.uint8)
    return clip


def apng(seed: int, frames: int = 8, size: int = 64, fps: float = 8) -> bytes:
    return encode_video(moving(seed, frames, size), fps, "apng")
