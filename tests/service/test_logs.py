"""What the log says: one line for each event, of whichever library, with the request that it is about."""

from __future__ import annotations

import importlib
import io
import json
import logging
import re
import sys
import warnings

import pytest
from serving import apng, serving

from service import logs
from service.app import create_app
from service.settings import Settings


@pytest.fixture
def written(monkeypatch):
    """Configures logs, and gives what they write; afterwards all is as before."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    quiet = {name: logging.getLogger(name).level for name in ("python_multipart", "asyncio", "PIL", "opentelemetry")}
    root.handlers.clear()
    logs.configure("json", "info")
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in quiet.items():
        logging.getLogger(name).setLevel(before)


def parsed(written: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_every_line_is_about_its_request(weights_dir, written):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, threads=1))

    @app.get("/broken")
    async def broken() -> None:
        unsaid = "the-value-of-a-variable"
        raise RuntimeError(f"nobody expected {len(unsaid)}")

    with serving(app) as client:
        answer = client.get("/broken", headers={"X-Request-ID": "one"})
        assert answer.status_code == 500
        assert answer.json()["request_id"] == "one"
        assert "nobody expected" not in answer.text
        client.post("/encode", files={"file": apng(1)}, headers={"X-Request-ID": "two"}).raise_for_status()
        client.post("/generate", json={"n": 0}, headers={"X-Request-ID": "three"})
        client.get("/healthz", headers={"X-Request-ID": "probe"})
    said = parsed(written)
    for line in said:
        assert {"timestamp", "level", "logger", "event"} <= set(line)
    of = {name: [line for line in said if line.get("request_id") == name] for name in ("one", "two", "three", "probe")}
    fault, request = of["one"]
    assert (fault["level"], fault["event"]) == ("error", "a request failed")
    assert "RuntimeError: nobody expected 23" in fault["exception"]
    assert "the-value-of-a-variable" not in fault["exception"]
    assert (request["event"], request["method"], request["route"], request["status"]) == (
        "request",
        "GET",
        "/broken",
        500,
    )
    (request,) = of["two"]
    assert request["status"] == 200
    assert request["ms"] > 0
    (request,) = of["three"]
    assert (request["status"], request["rejected"]) == (422, "invalid-field")
    assert not of["probe"], "probes would fill the log"
    events = [(line["logger"], line["event"]) for line in said]
    assert ("uvicorn.error", "Application startup complete.") in events
    assert any(logger.startswith("service.") and "'broken' skipped" in event for logger, event in events)


def test_warnings_go_the_same_way(written):
    warnings.warn("something is old", DeprecationWarning, stacklevel=1)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("something is odd", stacklevel=1)
    said = [line for line in parsed(written) if line["logger"] == "py.warnings"]
    assert any("something is odd" in line["event"] and line["level"] == "warning" for line in said)


def test_what_ray_adds_to_every_record_is_left_out(written):
    importlib.import_module("ray")  # which is all that it takes
    logging.getLogger("uvicorn.error").warning("shown", extra={"route": "/swap"})
    assert parsed(written)[-1].keys() == {"event", "level", "logger", "timestamp", "route"}


def test_the_console_has_a_line_for_each_event(written, capsys):
    logs.configure("console", "warning")
    logging.getLogger("uvicorn.error").info("hidden")
    logging.getLogger("uvicorn.error").warning("shown", extra={"color_message": "in colour", "route": "/swap"})
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"\S+Z \[warning\s*\] shown +\[uvicorn.error\] +route=/swap", line.rstrip()), line
