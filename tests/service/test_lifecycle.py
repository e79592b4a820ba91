"""From the first request to the last signal, on real server processes."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serving import apng, children, only, own_process, wait_for

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")

GENERATE = json.dumps({"frames": 8, "seed": 1, "format": "json"}).encode()
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
ENCODE = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + apng(1) + b"\r\n--x--\r\n"
JOBS = [("/generate", GENERATE, {"Content-Type": "application/json"}), ("/encode", ENCODE, FORM)]


def begun(address: str) -> socket.socket:
    """A connection on which the headers and a part of the body of a request have arrived."""
    url = httpx.URL(address)
    connection = socket.create_connection((url.host, url.port), timeout=60)
    head = f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(GENERATE)}"
    connection.sendall(f"{head}\r\n\r\n".encode() + GENERATE[:10])
    return connection


def rest(connection: socket.socket) -> bytes:
    """All that is answered until the connection closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def assert_whole(answer: bytes, status: int) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status}".encode()), answer[:300]
    (length,) = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    assert len(body) == int(length.split()[1])
    json.loads(body)


def in_flight(address: str) -> float:
    said = httpx.get(f"{address}/metrics").text
    return next(float(line.split()[1]) for line in said.splitlines() if line.startswith("rwae_requests_in_flight "))


def logged(log) -> list[dict]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_signal_ends_with_what_was_begun(weights_dir, tmp_path):
    log = tmp_path / "log"
    told: list[int] = []
    stop = threading.Event()

    def ask_until_refused(address: str, job: int) -> None:
        url = httpx.URL(address)
        connection = http.client.HTTPConnection(url.host, url.port, timeout=60)
        for path, body, headers in itertools.islice(itertools.cycle(JOBS), job, None):
            try:
                connection.request("POST", path, body, headers)
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, ConnectionError):  # not one byte of an answer
                if stop.is_set():
                    return
                raise
            answer.read()  # raises where the answer ends too early
            told.append(answer.status)

    with (
        own_process(only(weights_dir, tmp_path), log, RWAE_LOG_FORMAT="json") as (address, started),
        ThreadPoolExecutor(6) as pool,
    ):
        halves = [begun(address) for _ in range(4)]
        wait_for(lambda: in_flight(address) == len(halves) + 1)
        asking = [pool.submit(ask_until_refused, address, job) for job in range(6)]
        wait_for(lambda: len(told) > 20, 60)
        workers = children(started.pid)
        stop.set()
        started.send_signal(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in log.read_text())
        url = httpx.URL(address)
        wait_for(lambda: socket.socket().connect_ex((url.host, url.port)) != 0, 5)
        for future in asking:
            future.result(60)
        assert started.poll() is None, "it waits for what has been begun"
        for half in halves:
            half.sendall(GENERATE[10:])
            assert_whole(rest(half), 200)
        assert started.wait(30) == 0
    requests = [
        line for line in logged(log) if line["event"] == "request" and line["route"] in ("/generate", "/encode")
    ]
    assert {line["status"] for line in requests} == set(told) == {200}
    assert len(requests) == len(told) + len(halves), "each that was accepted has been answered"
    assert workers
    wait_for(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))


def test_readiness_follows_at_once(weights_dir, tmp_path):
    with (
        own_process(only(weights_dir, tmp_path), tmp_path / "log") as (address, started),
        httpx.Client(base_url=address) as client,
    ):
        half = begun(address)
        assert client.get("/readyz").status_code == 200
        started.send_signal(signal.SIGTERM)
        time.sleep(0.03)
        try:
            assert client.get("/readyz").status_code == 503
        except httpx.TransportError:  # even sooner, nobody is let in any more
            assert started.poll() is None
        half.sendall(GENERATE[10:])
        assert_whole(rest(half), 200)
        assert started.wait(30) == 0


def test_a_second_signal_is_immediate(weights_dir, tmp_path):
    log = tmp_path / "log"
    with own_process(only(weights_dir, tmp_path), log) as (address, started):
        half, workers = begun(address), children(started.pid)
        wait_for(lambda: in_flight(address) == 2)
        started.send_signal(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in log.read_text())
        with pytest.raises(Exception, match="timed out"):
            started.wait(0.5)
        started.send_signal(signal.SIGTERM)
        assert started.wait(5) == 128 + signal.SIGTERM
        half.close()
        wait_for(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))


def test_who_is_not_done_in_the_grace_period_is_told_so(weights_dir, tmp_path):
    log = tmp_path / "log"
    with own_process(only(weights_dir, tmp_path), log, RWAE_GRACE_S="1") as (address, started):
        half = begun(address)
        wait_for(lambda: in_flight(address) == 2)
        started.send_signal(signal.SIGTERM)
        answer = rest(half)
        assert_whole(answer, 503)
        assert b"shutting-down" in answer
        assert b"retry-after" in answer.lower()
        assert started.wait(10) == 0
    assert "Traceback" not in log.read_text()
