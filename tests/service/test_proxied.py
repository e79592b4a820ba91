"""What the proxy before a cluster's replicas says, by the time that it reaches a client."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import uvicorn
from serving import ROOT, wait_for
from starlette.datastructures import MutableHeaders
from starlette.responses import PlainTextResponse
from test_errors import problem

from service.edge.proxied import Proxied


def replica(status=200, seconds=0.0):
    """Answers as the service does: with the id that it was told."""

    async def answer(scope, receive, send):
        await asyncio.sleep(seconds)
        await PlainTextResponse("fine", status, {"X-Request-ID": MutableHeaders(scope=scope)["x-request-id"]})(
            scope, receive, send
        )

    return answer


async def dead(scope, receive, send):
    """A replica that ended: the proxy says nothing."""


async def broken(scope, receive, send):
    raise RuntimeError("a fault of the proxy's")


async def begun(scope, receive, send):
    """Begins an answer and takes its time for the rest."""
    headers = [(b"x-request-id", b"mine"), (b"content-length", b"8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for part in (b"some", b"more"):
        await send({"type": "http.response.body", "body": part, "more_body": part == b"some"})
        await asyncio.sleep(0.5)


def proxy(app):
    """Adds its own id, as Ray's does."""

    async def named(scope, receive, send):
        async def naming(message):
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("X-Request-ID", MutableHeaders(scope=scope)["x-request-id"])
            await send(message)

        await app(scope, receive, naming)

    return named


@contextlib.contextmanager
def behind(app):
    """A client of a server with the proxy before an application."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(Proxied(proxy(app), seconds=0.3), lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}") as client:
                yield client
        finally:
            server.should_exit = True
            thread.join()


@pytest.mark.parametrize("status", [200, 429, 500, 503])
def test_answers_of_replicas_pass_with_one_name(status):
    with behind(replica(status)) as client:
        answer = client.get("/", headers={"X-Request-ID": "mine"})
        assert (answer.status_code, answer.text) == (status, "fine")
        assert answer.headers.get_list("x-request-id") == ["mine"]
        made = client.get("/", headers={"X-Request-ID": "no good <id>"}).headers.get_list("x-request-id")
        assert len(made) == 1
        assert "good" not in made[0]


@pytest.mark.parametrize(
    ("said", "headers", "status", "kind"),
    [
        (429, {"Retry-After": "7"}, 429, "queue-full"),
        (503, {}, 503, "not-ready"),
        (404, {}, 503, "not-ready"),
        (408, {}, 504, "deadline"),
    ],
)
def test_what_the_proxy_says_is_a_problem(said, headers, status, kind):
    with behind(PlainTextResponse("Ray's own words", said, headers)) as client:
        answer = client.get("/", headers={"X-Request-ID": "mine"})
        assert "Ray" not in problem(answer, status)
        assert answer.json()["type"].endswith(f":{kind}")
        assert answer.headers.get_list("x-request-id") == ["mine"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        if "Retry-After" in headers:
            assert answer.headers["retry-after"] == headers["Retry-After"]


@pytest.mark.parametrize("app", [dead, broken])
def test_a_lost_replica_is_a_503(app):
    with behind(app) as client:
        answer = client.post("/generate", json={})
        problem(answer, 503)
        assert answer.json()["type"].endswith(":replica-lost")
        assert int(answer.headers["retry-after"]) >= 1


def test_nobody_waits_for_ever():
    with behind(replica(seconds=60)) as client:
        started = time.monotonic()
        assert "0.3 s" in problem(client.get("/"), 504)
        assert time.monotonic() - started < 5


def test_what_has_begun_may_take_its_time():
    with behind(begun) as client:
        assert client.get("/", headers={"X-Request-ID": "mine"}).text == "somemore"


def test_a_proxy_starts_soon():
    """Ray kills those that do not: they must not wait for torch."""
    told = "import sys, service.edge.proxied as proxied; proxied.at_proxy(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
