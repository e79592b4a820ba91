"""Server processes, each on its cores, on a free port."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.connection import Connection, LostError, get
from benchmarks.serving.works import WEIGHTS

ROOT = Path(__file__).parents[2]
START_S = 120.0


@dataclass(frozen=True)
class Host:
    """A server: its name, port and process."""

    name: str
    port: int
    process: subprocess.Popen[bytes]

    def pause(self) -> None:
        """Stops it where it is: a server whose loop polls would take from the others while it has nothing to do."""
        os.killpg(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Lets it go on."""
        os.killpg(self.process.pid, signal.SIGCONT)


@contextlib.contextmanager
def pinned(*cores: int) -> Iterator[None]:
    """Runs on these cores inside, as processes that are started there will; with none given, where it ran before."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def two_cores() -> tuple[int, int]:
    """The core of the servers and that of the load."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        sys.exit("Serving is measured with the server on one core and the load on another: this process may use one.")
    return cores[0], cores[1]


@contextlib.contextmanager
def host(name: str, command: list[str], probe: str, *cores: int, **environment: str) -> Iterator[Host]:
    """A server on these cores until the block ends. `{port}` in its command and environment becomes a free port.

    Raises:
        RuntimeError: it does not answer `probe` with 200; the message ends with what it said.
    """
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outer = {key: value for key, value in os.environ.items() if not key.startswith("RWAE_")}
    own = {key: value.replace("{port}", str(port)) for key, value in environment.items()}
    with tempfile.TemporaryFile() as log:
        with pinned(*cores):
            process = subprocess.Popen(  # noqa: S603 (this interpreter, our modules)
                [sys.executable, *(part.replace("{port}", str(port)) for part in command)],
                cwd=ROOT,
                env={**outer, **own},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        found = Host(name, port, process)
        try:
            if not asyncio.run(_answers(found, probe)):
                log.seek(0)
                raise RuntimeError(f"{name} does not start:\n{log.read().decode(errors='replace')[-2000:]}")
            yield found
        finally:
            with contextlib.suppress(ProcessLookupError, subprocess.TimeoutExpired):
                found.resume()
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(30)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def ours(*cores: int, **settings: str) -> contextlib.AbstractContextManager[Host]:
    """This repository's service with its defaults; `settings` are its environment's."""
    usual = {"RWAE_PORT": "{port}", "RWAE_WEIGHTS_DIR": str(WEIGHTS), "RWAE_DEVICE": "cpu"}
    return host("ours", ["-m", "service"], "/readyz", *cores, **{**usual, **settings})


def plain(core: int) -> contextlib.AbstractContextManager[Host]:
    """A FastAPI route that calls the model."""
    command = ["-m", "uvicorn", "--factory", "benchmarks.serving.plain:create_app", "--port", "{port}"]
    # The parser of the service: where httptools is installed, as Ray does, uvicorn would take that.
    command += ["--http", "h11", "--log-level", "warning"]
    return host("plain FastAPI", command, "/healthz", core)


def lit(core: int, verb: str, max_batch_size: int, batch_timeout: float) -> contextlib.AbstractContextManager[Host]:
    """LitServe with one worker."""
    command = ["-m", "benchmarks.serving.lit", verb, "{port}", str(max_batch_size), str(batch_timeout)]
    return host("LitServe", command, "/health", core)


async def _answers(host: Host, probe: str) -> bool:
    end = time.monotonic() + START_S
    while time.monotonic() < end and host.process.poll() is None:
        with contextlib.suppress(OSError, LostError):
            connection = await Connection.open(host.port)
            answer = await connection.ask(get(probe))
            connection.close()
            if answer.status == 200:
                return True
        await asyncio.sleep(0.1)
    return False
