"""Ray Serve with two replicas on one host: the local server's tests, and a replica that dies.

They take 5 minutes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import test_contract
import test_metrics
import test_stream
import yaml
from elsewhere import MODULES, contract
from serving import ROOT, apng, metric, wait_for
from test_errors import problem

from service import cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks into the cluster's processes: run it on Linux"),
]
COUNTING = [test_contract.test_metrics_count, test_stream.test_streams_and_others_take_turns]
"""They look at counters, which are each replica's own."""
globals().update(contract([module for module in MODULES if module is not test_metrics], left_out=COUNTING))


@dataclass(frozen=True)
class Cluster:
    """A cluster of this host: what answers, and the process that started it."""

    client: httpx.Client
    process: psutil.Process

    def replicas(self) -> list[psutil.Process]:
        """The processes that serve."""
        found = []
        for child in self.process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if "".join(child.cmdline()).startswith("ray::ServeReplica:rwae:"):  # of those that ended it is empty
                    found.append(child)
        return found

    def answering(self) -> set[float]:
        """When each replica that takes requests was started."""
        answers = [self.client.get("/metrics") for _ in range(20)]
        return {
            float(moment)
            for answer in answers
            for moment in re.findall(r"^process_start_time_seconds (\S+)$", answer.text, re.MULTILINE)
        }


@contextlib.contextmanager
def running(weights_dir: Path, log: Path, replicas: int, **settings: str) -> Iterator[Cluster]:
    """The shipped configuration, with so many replicas of one CPU on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = yaml.safe_load((ROOT / "deploy" / "ray" / "serve.yaml").read_text())
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    config["applications"][0]["args"] = {"replicas": replicas, "cpus": 1}
    log.with_suffix(".yaml").write_text(yaml.safe_dump(config))
    told = {"WEIGHTS_DIR": str(weights_dir), "DECODE_WORKERS": "2", **settings}
    folder = tempfile.mkdtemp(prefix="ray")  # a short name, as sockets' may not be long
    environment = {f"RWAE_{name}": value for name, value in told.items()}
    environment |= dict(re.findall(r"\b(RAY_\w+)=(\S+)", (ROOT / "Dockerfile").read_text()))
    environment |= {"RAY_TMPDIR": folder, "RAY_ADDRESS": "local", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with log.open("w") as file:
        started = subprocess.Popen(
            [str(Path(sys.executable).with_name("serve")), "run", str(log.with_suffix(".yaml"))],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=file,
            stderr=file,
        )
        process = psutil.Process(started.pid)
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                found = Cluster(client, process)
                wait_for(lambda: started.poll() is not None or _serving(found, replicas), 180)
                assert started.poll() is None, log.read_text()
                yield found
        finally:
            others = process.children(recursive=True) if process.is_running() else []
            started.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(30)
            for left in (process, *others):
                with contextlib.suppress(psutil.NoSuchProcess):
                    left.kill()
            started.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _serving(found: Cluster, replicas: int) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return found.client.get("/readyz").status_code == 200 and len(found.answering()) == replicas
    return False


@pytest.fixture(scope="module")
def two(weights_dir, tmp_path_factory) -> Iterator[Cluster]:
    with running(weights_dir, tmp_path_factory.mktemp("two") / "log", 2) as found:
        yield found


@pytest.fixture(scope="module")
def client(two) -> httpx.Client:
    return two.client


@pytest.fixture(scope="module")
def mixed(mixed_dir, tmp_path_factory) -> Iterator[httpx.Client]:
    with running(mixed_dir, tmp_path_factory.mktemp("mixed") / "log", 1) as found:
        yield found.client


@pytest.fixture(scope="module")
def small(weights_dir, tmp_path_factory) -> Iterator[httpx.Client]:
    with running(weights_dir, tmp_path_factory.mktemp("small") / "log", 1, MAX_UPLOAD_MB="0.25") as found:
        yield found.client


@pytest.mark.parametrize("test", COUNTING)
def test_one_replica_counts_as_a_server_does(mixed, test):
    test(mixed)


def test_the_same_request_gets_the_same_answer_of_either(two):
    asked = {"seed": 3, "format": "json", "n": 2}
    answers = [two.client.post("/generate", json=asked).json() for _ in range(8)]
    assert all(answer == answers[0] for answer in answers)
    assert len(two.answering()) == 2


def test_each_has_its_share_of_the_host(two):
    assert len(two.replicas()) == 2
    for replica in two.replicas():
        assert cluster.ONE_ARENA.items() <= replica.environ().items()


def test_more_than_may_wait_are_turned_away(two):
    count = 2 * cluster.ONGOING + cluster.QUEUED + 60

    async def ask() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=count)
        async with httpx.AsyncClient(base_url=two.client.base_url, timeout=60, limits=limits) as crowd:
            return await asyncio.gather(
                *(crowd.post("/generate", json={"frames": 300, "seed": 1}) for _ in range(count))
            )

    answers = asyncio.run(ask())
    assert {answer.status_code for answer in answers} == {200, 429}
    for answer in answers:
        if answer.status_code == 429:
            problem(answer, 429)
            assert int(answer.headers["retry-after"]) >= 1
    wait_for(lambda: two.client.get("/readyz").status_code == 200)


def test_who_hangs_up_is_forgotten(two):
    for _ in range(6):
        with pytest.raises(httpx.ReadTimeout):
            two.client.post("/generate", json={"frames": 1000}, timeout=0.05)
    wait_for(lambda: all(metric(two.client, "rwae_requests_in_flight") == 1 for _ in range(8)))
    wait_for(lambda: len(two.answering()) == 2)  # the proxy gives neither fewer for what nobody waits for any more


def test_a_replica_that_dies_under_load_takes_nobody_with_it(two):
    told: list[tuple[float, httpx.Response]] = []
    stop = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=two.client.base_url, timeout=60) as own:
            while not stop.is_set():
                if number % 2:
                    answer = own.post("/generate", json={"frames": 100, "seed": 1, "format": "json"})
                else:
                    answer = own.post("/encode", files={"file": apng(number)})
                told.append((time.monotonic(), answer))

    before = {replica.pid for replica in two.replicas()}
    with ThreadPoolExecutor(8) as pool:
        try:
            asking = [pool.submit(ask, number) for number in range(8)]
            wait_for(lambda: len(told) > 40, 60)
            victim = two.replicas()[0]
            workers = victim.children(recursive=True)
            victim.kill()
            killed = time.monotonic()
            wait_for(lambda: len(two.replicas()) == 2 and len(two.answering()) == 2, 120)
            recovered = time.monotonic()
            wait_for(lambda: told[-1][0] > recovered + 3, 60)
        finally:
            stop.set()
        for future in asking:
            future.result(70)  # nobody hangs, and no connection breaks
    after = {replica.pid for replica in two.replicas()}
    assert before - after == {victim.pid}, "the other one is still there"
    statuses = Counter(answer.status_code for _, answer in told)
    assert set(statuses) <= {200, 503}, statuses
    for _, answer in told:
        if answer.status_code == 503:
            problem(answer, 503)
            assert int(answer.headers["retry-after"]) >= 1
    assert statuses[503] <= 16, "what the dead one had, and what was on its way there"
    meanwhile = [when for when, answer in told if answer.status_code == 200 and killed < when < recovered]
    gaps = [later - when for when, later in zip([killed, *meanwhile], [*meanwhile, recovered], strict=True)]
    assert max(gaps) < 5, "the other one goes on"
    assert not [status for status in (answer.status_code for when, answer in told if when > recovered) if status != 200]
    wait_for(lambda: not any(worker.is_running() for worker in workers))


def test_proxies_are_told_by_the_image_what_the_command_tells_them():
    assert f"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH={cluster.AT_PROXY} " in (ROOT / "Dockerfile").read_text()
