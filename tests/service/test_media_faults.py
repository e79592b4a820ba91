"""Decoding processes that are killed, stopped or not to be had, and temporary files that cannot be made."""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from serving import apng, children, metric, moving, own_process, wait_for
from test_errors import problem

from rwae_core.media.encode import encode_video

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")

TIMEOUT_S = 8
WORKERS = 2
SLOW = encode_video(moving(1, 300, 256), 8, "webp")
"""Takes about a second to decode."""
SLOWEST = encode_video(moving(1, 500, 512), 8, "webp")
"""Takes some seconds."""


@pytest.fixture(scope="module")
def process(weights_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, int]]:
    """A client of a service, and the service's process."""
    log = tmp_path_factory.mktemp("faults") / "log"
    told = {"RWAE_REQUEST_TIMEOUT_S": str(TIMEOUT_S), "RWAE_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with own_process(weights_dir, log, RWAE_DECODE_WORKERS=str(WORKERS), **told) as (url, started):
        with httpx.Client(base_url=url, timeout=60) as client:
            yield client, started.pid
        assert "Traceback" not in log.read_text()


def encode(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/encode", files={"file": data})


def wait_until_whole(client: httpx.Client, pid: int) -> None:
    """As many decoders as before, which have started, and decode."""

    def rest() -> bool:
        before = {child: computed(child) for child in children(pid)}
        time.sleep(0.3)
        return len(before) == WORKERS + 1 and before == {child: computed(child) for child in children(pid)}

    wait_for(rest)
    assert encode(client, apng(1)).status_code == 200


def computed(pid: int) -> float:
    """Seconds that a process has computed; of one that has gone, none."""
    try:
        return psutil.Process(pid).cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def decoding(pids: list[int]) -> int:
    """The first of some idle decoders that decodes."""
    before = {pid: computed(pid) for pid in pids}
    wait_for(lambda: any(computed(pid) > before[pid] + 0.02 for pid in pids))
    return max(pids, key=lambda pid: computed(pid) - before[pid])


@pytest.mark.parametrize(("blow", "status"), [(signal.SIGKILL, 200), (signal.SIGSEGV, 400)])
def test_a_decoder_dies_while_it_decodes(process, blow, status):
    """Killed, it takes nothing with it: its file is decoded by another. A file that makes it crash is a 400."""
    client, pid = process
    wait_until_whole(client, pid)
    died = metric(client, "rwae_media_worker_restarts_total", reason="died")
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(encode, client, SLOW)
        victim = decoding(children(pid))
        assert encode(client, apng(2)).status_code == 200
        os.kill(victim, blow)
        assert encode(client, apng(3)).status_code == 200
        if status == 200:
            assert running.result().status_code == 200, running.result().text
        else:
            problem(running.result(), status, "file")
    wait_until_whole(client, pid)
    assert metric(client, "rwae_media_worker_restarts_total", reason="died") == died + 1


def test_all_decoders_are_killed_at_once(process):
    client, pid = process
    wait_until_whole(client, pid)
    with ThreadPoolExecutor(2) as threads:
        running = [threads.submit(encode, client, SLOW) for _ in range(2)]
        decoding(children(pid))
        for victim in children(pid):
            os.kill(victim, signal.SIGKILL)
        assert encode(client, apng(1)).status_code == 200
        assert [future.result().status_code for future in running] == [200, 200]
    wait_until_whole(client, pid)


def test_decoders_that_hang_are_replaced_at_the_deadline(process):
    client, pid = process
    wait_until_whole(client, pid)
    stopped = children(pid)
    for victim in stopped:
        os.kill(victim, signal.SIGSTOP)
    with ThreadPoolExecutor(len(stopped)) as threads:
        start = time.monotonic()
        answers = list(threads.map(lambda _: encode(client, apng(1)), range(WORKERS)))
        for answer in answers:
            problem(answer, 504)
        assert time.monotonic() - start < TIMEOUT_S + 10
    assert client.get("/readyz").status_code == 200
    wait_for(lambda: sum(victim in children(pid) for victim in stopped) == 1)  # nobody has asked the third
    os.kill(next(victim for victim in stopped if victim in children(pid)), signal.SIGCONT)
    wait_until_whole(client, pid)


def test_who_hangs_up_stops_the_decoding(process):
    client, pid = process
    wait_until_whole(client, pid)
    before = metric(client, "rwae_media_worker_restarts_total", reason="cancelled")
    request = httpx.Request("POST", f"{client.base_url}/encode", files={"file": SLOWEST})
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    pids = children(pid)
    with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
        connection.sendall(f"POST /encode HTTP/1.1\r\n{head}\r\n".encode() + request.read())
        decoding(pids)
    wait_for(lambda: metric(client, "rwae_media_worker_restarts_total", reason="cancelled") > before)
    wait_for(lambda: len(set(pids) & set(children(pid))) == WORKERS)
    wait_until_whole(client, pid)


def test_decoders_end_with_a_service_that_is_killed(weights_dir, tmp_path):
    with own_process(weights_dir, tmp_path / "log") as (url, started), ThreadPoolExecutor(1) as threads:
        pids = children(started.pid)
        assert len(pids) == WORKERS + 1
        running = threads.submit(httpx.post, f"{url}/encode", files={"file": SLOWEST}, timeout=60)
        decoding(pids)
        started.kill()
        started.wait()
        wait_for(lambda: not any(map(lives, pids)), 5)
        assert isinstance(running.exception(30), httpx.TransportError)


def lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_no_temporary_file_can_be_made(client, monkeypatch):
    """Small uploads stay in memory, and are answered; large ones are refused until there is room again."""
    large = apng(1) + bytes(2 * 2**20)  # what follows the end of a PNG is none of it
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    response = encode(client, large)
    problem(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    assert encode(client, apng(1)).status_code == 200
    monkeypatch.undo()
    assert encode(client, large).status_code == 200
