"""Clients that are slow, go away, or send more than there is room for; each time the others are answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import resource
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi import Response
from PIL import Image
from serving import apng, metric, only, open_files, own_process, serving, wait_for
from test_errors import problem

from service.app import create_app
from service.edge import connection
from service.settings import Settings

RESET = struct.pack("ii", 1, 0)
"""Of SO_LINGER: closing resets the connection."""
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


def upload_head(length: int) -> bytes:
    form = "Content-Type: multipart/form-data; boundary=x"
    return f"POST /encode HTTP/1.1\r\nHost: x\r\n{form}\r\nContent-Length: {length}\r\n\r\n".encode()


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)


@contextlib.contextmanager
def others(client: httpx.Client) -> Iterator[list[httpx.Response]]:
    """Somebody who asks all the while, and gets what he asks for."""
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            while not stop.is_set():
                answers.append(own.post("/generate", json={"seed": 1, "format": "json"}))
                answers.append(own.post("/encode", files={"file": apng(1)}))

    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(ask)
        try:
            wait_for(lambda: len(answers) >= 2 or asking.done(), 60)
            yield answers
        finally:
            stop.set()
            asking.result()
    assert {answer.status_code for answer in answers} == {200}


@pytest.fixture(scope="module")
def process(weights_dir, tmp_path_factory):
    """A service in a process that is begun with fewer files than there will be connections; a client; its log."""
    log = tmp_path_factory.mktemp("process") / "log"
    few = ["prlimit", f"--nofile=256:{resource.getrlimit(resource.RLIMIT_NOFILE)[1]}", "--"]
    with (
        own_process(only(weights_dir, log.parent), log, wrapped=few) as (address, started),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.post("/encode", files={"file": apng(1)}).raise_for_status()
        yield client, started, log


def at_rest(client: httpx.Client, pid: int, files: int) -> bool:
    return metric(client, "rwae_requests_in_flight") == 1 and open_files(pid) <= files


needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")


@needs_linux
def test_a_thousand_connections_close_in_the_middle_of_an_upload(process):
    client, started, log = process
    files = open_files(started.pid)
    gone = metric(client, "rwae_requests_total", status="499")

    in_progress = asyncio.Event()

    async def upload(number: int) -> None:
        """Every tenth has sent so much that it lies on the disk; every other is reset, the rest are closed."""
        sent = 1_500_000 if number % 10 == 0 else 5_000
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(upload_head(3_000_000) + PART + bytes(sent))
        await writer.drain()
        await in_progress.wait()
        if number % 2:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def thousand() -> None:
        uploads = asyncio.gather(*map(upload, range(1000)))
        await asyncio.to_thread(wait_for, lambda: metric(client, "rwae_requests_in_flight") > 1000, 60)
        in_progress.set()
        await uploads

    with others(client) as answers:
        before = len(answers)
        asyncio.run(thousand())
        wait_for(lambda: len(answers) >= before + 4, 60)
    wait_for(lambda: at_rest(client, started.pid, files), 60)
    wait_for(lambda: metric(client, "rwae_requests_total", status="499") - gone == 1000)
    assert "Traceback" not in log.read_text()


@needs_linux
def test_bodies_of_a_byte_a_second(here, caplog):
    _, client = here
    client.post("/encode", files={"file": apng(1)}).raise_for_status()
    files = open_files(os.getpid())

    async def trickle() -> bytes:
        reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(upload_head(100_000) + PART)

        async def drip() -> None:
            while True:
                writer.write(b"x")
                await asyncio.sleep(1)

        dripping, answer = asyncio.ensure_future(drip()), b""
        try:
            # A byte that is under way as the service closes resets the connection: seconds after the answer was read.
            with contextlib.suppress(ConnectionResetError):
                async with asyncio.timeout(30):
                    while received := await reader.read(65536):
                        answer += received
        finally:
            dripping.cancel()
            writer.close()
        return answer

    async def many() -> list[bytes]:
        return await asyncio.gather(*(trickle() for _ in range(200)))

    with others(client) as answers:
        before, began = len(answers), time.monotonic()
        said = asyncio.run(many())
        assert 3 <= time.monotonic() - began < 30
        wait_for(lambda: len(answers) >= before + 2, 60)
    for answer in said:
        assert answer.startswith(b"HTTP/1.1 504")
        assert b"connection: close" in answer.lower()
        assert b"urn:problem-type:rwae:deadline" in answer
        head, _, body = answer.partition(b"\r\n\r\n")
        assert f"content-length: {len(body)}".encode() in head.lower().splitlines()
    wait_for(lambda: at_rest(client, os.getpid(), files), 60)
    assert "Traceback" not in caplog.text


def tiny_disk(folder) -> list[str]:
    """A command whose successor sees a file system of 2 MB at `folder`, or else may write no file of more."""
    mount = f"mount -t tmpfs -o size=2m tmpfs '{folder}'"
    wrapped = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh"]
    try:
        allowed = subprocess.run([*wrapped, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        allowed = False
    return wrapped if allowed else ["prlimit", f"--fsize={2 * 2**20}", "--"]


@needs_linux
def test_there_is_no_room_for_an_upload(weights_dir, tmp_path):
    folder = tmp_path / "temporary"
    folder.mkdir()
    log = tmp_path / "log"
    with (
        own_process(only(weights_dir, tmp_path), log, wrapped=tiny_disk(folder), TMPDIR=str(folder)) as (
            address,
            started,
        ),
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        client.post("/encode", files={"file": apng(1)}).raise_for_status()
        files = open_files(started.pid)
        with others(client) as answers:
            for size in (6_000_000, 20_000_000):
                refused = client.post("/encode", files={"file": ("secret-name.mp4", bytes(size))})
                assert "room" in problem(refused, 503)
                assert int(refused.headers["retry-after"]) >= 1
            before = len(answers)
            wait_for(lambda: len(answers) >= before + 2, 60)
        wait_for(lambda: at_rest(client, started.pid, files))
        assert metric(client, "rwae_rejections_total", reason="no-room") == 2
        # What lies on the disk while it is read is gone afterwards: there is room again.
        problem(client.post("/encode", files={"file": bytes(1_500_000)}), 415, "file")
    assert "an upload cannot be kept: " in log.read_text()
    assert "secret-name" not in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.fixture(scope="module")
def here(weights_dir):
    """A service in this process: the application and a client."""
    settings = Settings(weights_dir=weights_dir, decode_workers=1, threads=1, max_upload_mb=0.25, upload_timeout_s=3)
    app = create_app(settings)

    @app.get("/large")
    async def large() -> Response:
        """More than the system keeps of what is sent."""
        return Response(bytes(40_000_000))

    with serving(app) as client:
        yield app, client


def test_headers_that_do_not_come(here, monkeypatch):
    monkeypatch.setattr(connection, "HEADERS_S", 0.5)
    _, client = here
    for begun in (b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /he"):
        with connect(client) as slow:
            slow.sendall(begun)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while received := slow.recv(65536):
                    answer += received
        assert answer.count(b"HTTP/1.1 200") == begun.count(b"\r\n\r\n")
    with connect(client) as patient:  # a request that runs is none that does not come
        patient.sendall(
            b"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n"
        )
        time.sleep(1)
        patient.sendall(b"{}")
        assert patient.recv(100).startswith(b"HTTP/1.1 200")


def test_who_is_refused_while_still_sending_gets_the_answer(here):
    """It comes at once, and the connection ends soon, however much would still be sent."""
    _, client = here
    chunk = b"10000\r\n" + bytes(65536) + b"\r\n"
    part = f"{len(PART):x}\r\n".encode() + PART + b"\r\n"
    with connect(client) as sending:
        form = b"Content-Type: multipart/form-data; boundary=x"
        sending.sendall(
            b"POST /encode HTTP/1.1\r\nHost: x\r\n" + form + b"\r\nTransfer-Encoding: chunked\r\n\r\n" + part
        )
        ended = threading.Event()

        def send() -> None:
            with contextlib.suppress(OSError):
                while True:
                    sending.sendall(chunk)
            ended.set()

        with ThreadPoolExecutor(1) as pool:
            pool.submit(send)
            answer = b""
            while not answer.endswith(b"}"):
                answer += sending.recv(65536)
            assert not ended.is_set(), "it could still send when it had the answer"
            assert ended.wait(20)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"connection: close" in answer.lower()


def test_who_does_not_take_the_answer(here, monkeypatch):
    monkeypatch.setattr(connection, "STALL_S", 0.5)
    _, client = here
    whole = len(client.get("/large").content)
    with socket.socket() as greedy:
        greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        greedy.settimeout(30)
        greedy.connect((client.base_url.host, client.base_url.port))
        greedy.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        time.sleep(3)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while part := greedy.recv(65536):
                received += len(part)
    assert received < whole
    assert client.get("/healthz").status_code == 200


def busy(app) -> int:
    return app.state.media._pool.busy


def plain(frames: int, side: int) -> bytes:
    """A small file of many pixels; a decoding that ends within a tenth of a second is let, on a fast processor, too."""
    pictures = (Image.new("RGB", (side, side), (shade % 256, 0, 0)) for shade in range(frames))
    file = io.BytesIO()
    next(pictures).save(file, "webp", save_all=True, append_images=pictures, duration=100, lossless=True, method=0)
    return file.getvalue()


def test_decoding_ends_when_its_client_goes(here):
    app, client = here
    slow = plain(150, 1200)
    cancelled = metric(client, "rwae_media_worker_restarts_total", reason="cancelled")
    body = PART + slow + b"\r\n--x--\r\n"
    for _ in range(20):  # once in a while it is done before it can be stopped
        with connect(client) as leaving:
            leaving.sendall(upload_head(len(body)) + body)
            wait_for(lambda: busy(app) == 1 or metric(client, "rwae_requests_in_flight") == 1)
        wait_for(lambda: busy(app) == 0 and metric(client, "rwae_requests_in_flight") == 1)
        assert metric(client, "rwae_uploads_decoding") == 0
        if metric(client, "rwae_media_worker_restarts_total", reason="cancelled") > cancelled:
            break
    else:
        pytest.fail("no decoding was stopped")


def test_answers_that_wait_to_be_encoded_are_dropped_when_their_client_goes(here):
    app, client = here
    media, release, rendered = app.state.media, threading.Event(), []

    def hold() -> bytes:
        assert release.wait(30)
        return b""

    async def leave() -> None:
        holding = asyncio.ensure_future(media.write(hold))
        waiting = asyncio.ensure_future(media.write(lambda: rendered.append(1)))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
        release.set()
        await holding
        await media.write(lambda: None)  # by then the other would have had its turn

    asyncio.run(leave())
    assert not rendered
    assert client.get("/healthz").status_code == 200
