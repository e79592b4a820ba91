"""When a client waits, how long, and what it makes of answers that are no problems."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest

from rwae_client import Codes, ProblemError, Retries
from rwae_client.errors import checked


def busy(status: int = 429, **headers: str) -> httpx.Response:
    return httpx.Response(status, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("status", [429, 503])
def test_it_waits_as_long_as_the_service_asks(status: int) -> None:
    assert Retries().wait_s(1, busy(status, Retry_After="7")) == 7
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert Retries().wait_s(1, busy(status, Retry_After=date)) == pytest.approx(30, abs=2)
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=30), usegmt=True)
    assert Retries().wait_s(1, busy(status, Retry_After=past)) == 0


def test_where_nothing_is_said_waits_grow() -> None:
    for header in ({}, {"Retry_After": "soon"}):
        waits = [Retries().wait_s(sent, busy(503, **header)) for sent in (1, 2, 3, 4)]
        assert all(0.5 * 0.5 * 2**k <= wait <= 1.5 * 0.5 * 2**k for k, wait in enumerate(waits))


def test_some_things_are_told_at_once() -> None:
    assert Retries().wait_s(1, busy(200)) is None
    assert Retries().wait_s(1, busy(422)) is None
    assert Retries().wait_s(1, busy(504, Retry_After="1")) is None
    assert Retries().wait_s(1, busy(Retry_After="61")) is None, "longer than anybody waits"
    assert Retries(most=2).wait_s(2, busy(Retry_After="1")) == 1
    assert Retries(most=2).wait_s(3, busy(Retry_After="1")) is None
    assert Retries(0).wait_s(1, busy(Retry_After="1")) is None


@pytest.mark.parametrize("body", ["<html>Bad Gateway</html>", "[]", '{"message": "no"}', "null"])
def test_an_error_of_a_proxy_is_a_sentence_too(body: str) -> None:
    with pytest.raises(ProblemError, match=r"^The service answered 502 Bad Gateway\.$") as caught:
        checked(httpx.Response(502, text=body))
    assert (caught.value.status, caught.value.field) == (502, None)


def test_codes_are_mixed_on_a_straight_line() -> None:
    start, end = Codes([0.0, 2.0], [[0.0], [1.0], [2.0]], [1.0, 0.0]), Codes([4.0, 2.0], [[2.0], [5.0]], [0.0, 1.0])
    assert start.mixed(end, content=0.25) == Codes([1.0, 2.0], [[0.0], [1.0]], [1.0, 0.0])
    assert start.mixed(end, motion=0.5) == Codes([0.0, 2.0], [[1.0], [3.0]], [0.5, 0.5])
