from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from benchmarks import machine
from benchmarks.serving import __main__ as command
from benchmarks.serving import hosts, latency, load, overload, soak, throughput, works
from benchmarks.serving.connection import Answered, get, post_json
from benchmarks.serving.hosts import Host
from benchmarks.serving.ideal import ORDERS, Ideal
from benchmarks.serving.verdict import at_least, at_most, none_of
from benchmarks.serving.watch import Footprint, Watch, growth, typical
from tests.benchmarks.cores import TWO_CORES

pytestmark = TWO_CORES


@contextlib.asynccontextmanager
async def listening(takes_s: float, lose_every: int = 0) -> AsyncIterator[int]:
    """The port of a server that answers each request after so long, and hangs up instead of every so-manieth answer."""
    numbers = itertools.count(1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                await asyncio.sleep(takes_s)
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
                if lose_every and next(numbers) % lose_every == 0:
                    break
                writer.write(b"}")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


def test_clients_ask_when_they_are_answered():
    async def run() -> load.Load:
        async with listening(0.05) as port:
            return await load.closed(port, [get("/a"), get("/b")], clients=4, seconds=1)

    done = asyncio.run(run())
    assert done.statuses.keys() == {200}
    assert 20 <= done.rate(0, 1) <= 80
    assert done.took_ms()[0] >= 50
    assert {outcome.number for outcome in done.outcomes} == {0, 1}
    assert sum(outcome.answer is not None for outcome in done.outcomes) == pytest.approx(
        len(done.outcomes) / load.KEEP_EVERY, abs=1
    )


def test_arrivals_wait_for_nobody():
    async def run(connections: int) -> load.Load:
        async with listening(0.2) as port:
            return await load.arriving(port, [get("/")], load.at_random(100, 1), connections=connections)

    done, capped = asyncio.run(run(64)), asyncio.run(run(4))
    assert not done.unsent
    assert 60 <= len(done.outcomes) <= 140  # Poisson, of 100
    assert len(capped.outcomes) <= 24
    assert len(capped.outcomes) + capped.unsent == len(done.outcomes)  # the same arrivals
    assert done.drained_s > 0.05


def test_what_is_late_counts_from_when_it_was_due():
    async def run() -> load.Load:
        async with listening(0.01) as port:
            asyncio.get_running_loop().call_later(0.3, time.sleep, 0.4)
            return await load.arriving(port, [get("/")], load.at_random(50, 1), connections=64)

    assert asyncio.run(run()).took_ms()[-1] >= 300


def test_lost_answers_are_told():
    async def run() -> load.Load:
        async with listening(0.01, lose_every=3) as port:
            return await load.closed(port, [get("/")], clients=2, seconds=0.5)

    statuses = asyncio.run(run()).statuses
    assert statuses[load.LOST] == pytest.approx(sum(statuses.values()) / 3, abs=2)


def test_rates_of_batches_count_whole_batches():
    batches = [end / 10 for end in range(3, 100, 3) for _ in range(8)]  # 8 every 0.3 s
    assert load.rate(batches, 1, 9.85) == pytest.approx(8 / 0.3)
    assert load.rate(batches, 1.1, 5) == pytest.approx(8 / 0.3)
    assert load.rate([], 0, 1) == load.rate([0.5], 1, 2) == 0


ALONE = {"model": "sprites", "psnr_db": 30.0, "frames": 2, "z_c": [0.5, -1.0], "items": [{"data": "x" * 100}]}


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({}, None),
        ({"z_c": [0.5, -1.00005]}, None),
        ({"psnr_db": 30.005}, None),
        ({"items": [{"data": "y" * 105}]}, None),
        ({"z_c": [0.5, -1.0002]}, "answer.z_c"),
        ({"z_c": [0.5]}, "answer.z_c"),
        ({"z_c": None}, "answer.z_c"),
        ({"frames": 3}, "answer.frames"),
        ({"psnr_db": 31.0}, "answer.psnr_db"),
        ({"items": []}, "answer.items[0]"),
        ({"items": [{"data": ""}]}, "answer.items[0].data"),
        ({"seed": 1}, "answer"),
    ],
)
def test_wrong_answers_are_found(changed, fault):
    found = works.difference({**ALONE, **changed}, ALONE)
    assert (found is None) if fault is None else (found or "").startswith(f"{fault} ")


def test_an_ideal_server_waits_as_theory_says():
    """M/D/1 at half load: Pollaczek and Khinchine's mean, and the 99th percentile of Erlang's distribution."""
    ideal = Ideal([10.0], rate=100, most=8)
    due = list(load.at_random(50, 4000))
    times = ideal.took_ms(due, ORDERS["one at a time"])
    assert len(times) == len(due)
    assert statistics.fmean(times) == pytest.approx(15, rel=0.02)
    assert load.quantile(times, 0.99) == pytest.approx(43.4, rel=0.03)


def test_steady_arrivals_wait_for_nobody_at_an_ideal_server():
    due = list(load.steadily(50, 10))
    assert len(due) == 500
    assert Ideal([10.0], rate=100, most=8).took_ms(due, ORDERS["one at a time"]) == pytest.approx([10] * 500)


@pytest.mark.parametrize("moments", [load.at_random, load.steadily])
def test_no_rate_is_no_load(moments):
    with pytest.raises(RuntimeError, match="nothing was answered"):
        list(moments(0, 1))


def test_company_makes_requests_of_an_ideal_server_cheaper():
    ideal = Ideal([10.0, 10.0, 10.0], rate=400, most=4)  # one takes 10 ms, and so do four
    assert ideal.took_ms([0.0] * 5, ORDERS["all that wait"]) == pytest.approx([10] * 4 + [20])
    assert ideal.took_ms([0.0, 1.0], ORDERS["one at a time"]) == pytest.approx([10, 10])
    assert ideal.took_ms([0.0] * 2, ORDERS["one at a time"]) == pytest.approx([10, 20])


def test_answers_tell_their_stages():
    answer = Answered(200, {"server-timing": "decode;dur=3.4, queue;dur=0.0, model;dur=12.5"}, b"")
    assert answer.stages == {"decode": 3.4, "queue": 0.0, "model": 12.5}
    assert Answered(200, {}, b"").stages == {}


def footprints(memory: list[float]) -> list[Footprint]:
    return [Footprint(float(at), mb, 10, 4, 2) for at, mb in enumerate(memory)]


def test_growth_is_that_of_the_line():
    assert growth(footprints([100.0 + at for at in range(101)]), "memory_mb", 0) == pytest.approx(100 / 150)
    assert growth(footprints([5000.0] * 20 + [100.0] * 80), "memory_mb", 20) == 0
    assert typical(footprints([1.0, 2.0, 9.0, 9.0]), "memory_mb", 0, 2) == 1.5


def test_a_bound_that_cannot_be_told_does_not_hold():
    assert at_most("a", 1, 1).holds
    assert at_least("a", 1, 1).holds
    assert none_of("a", []).holds
    nothing = float("nan")
    assert not any(
        verdict.holds for verdict in (at_most("a", nothing, 1), at_least("a", nothing, 1), none_of("a", [404]))
    )


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    """The service itself, as the benchmarks start it."""
    with hosts.ours(hosts.two_cores()[0]) as host:
        yield host


@pytest.fixture
def small(host, monkeypatch, tmp_path) -> Path:
    """Short measurements against that one service; where their results go."""
    mine = os.sched_getaffinity(0)
    monkeypatch.setattr(hosts, "ours", lambda core: contextlib.nullcontext(host))
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    for module in (latency, overload):
        monkeypatch.setattr(module, "ALONE", 4)
    for module in (latency, overload, soak):
        monkeypatch.setattr(module, "WARM_UP_S", 0.1)
        monkeypatch.setattr(module, "CLIENTS", 4)
    monkeypatch.setattr(overload, "RECOVERY_S", 0.2)
    monkeypatch.setattr(overload, "CONNECTIONS", 16)
    monkeypatch.setattr(soak, "LEAVING_PER_S", 10.0)
    yield tmp_path
    os.sched_setaffinity(0, mine)


@pytest.mark.parametrize("what", ["latency", "overload", "soak"])
def test_measures_the_service(small, what, capsys, monkeypatch):
    monkeypatch.setattr(soak, "PLOT", small / "soak.png")
    status = command.main([what, "--seconds", "1.5"])
    written = json.loads((small / f"serving-{what}.json").read_text())
    assert written["machine"]["torch"]
    verdicts = {verdict["what"]: verdict["holds"] for verdict in written["verdicts"]}
    assert status == (0 if all(verdicts.values()) else 1)
    printed = capsys.readouterr().out
    assert all(f"| {verdict} |" in printed for verdict in verdicts)
    for verdict, holds in verdicts.items():
        if "wrong" in verdict or "statuses" in verdict or "other than 200" in verdict:
            assert holds, written
    if what == "soak":
        assert (small / "soak.png").read_bytes().startswith(b"\x89PNG")


def test_watches_children_too(host):
    with Watch(host.process.pid, 0.1) as watch:
        asyncio.run(load.one_by_one(host.port, [get("/healthz")], 1))
        asyncio.run(asyncio.sleep(0.5))
    assert watch.footprints[-1].processes >= 2
    assert watch.footprints[-1].memory_mb > 50


def test_a_server_that_does_not_start_says_why():
    command = ["-c", "raise SystemExit('no such thing')"]
    with pytest.raises(RuntimeError, match="no such thing"), hosts.host("it", command, "/", hosts.two_cores()[0]):
        pass


@pytest.mark.slow
def test_measures_throughput_beside_others(small, monkeypatch):
    """Takes 40 s, and 90 beside other work."""
    monkeypatch.setattr(throughput, "SWEEP", throughput.SWEEP[1:2])
    monkeypatch.setattr(throughput, "WARM_UP_S", 0.2)
    command.main(["throughput", "--rounds", "1", "--seconds", "1"])
    found = json.loads((small / "serving-throughput.json").read_text())
    for verb in works.VERBS:
        rates = found["figures"][verb]["requests_per_s"]
        assert rates.keys() == {"bare", "ours", "LitServe", "plain FastAPI"}
        assert all(rate > 0 for (rate,) in rates.values())
    assert all(verdict["holds"] for verdict in found["verdicts"] if "wrong" in verdict["what"])


def test_the_requests_are_what_the_service_takes(host):
    clips = asyncio.run(works.films(host.port))
    for verb in works.VERBS:
        outcomes = asyncio.run(load.one_by_one(host.port, works.requests(verb, clips[:2]), 2))
        assert [outcome.status for outcome in outcomes] == [200, 200]
        first, second = (outcome.answer.json() for outcome in outcomes if outcome.answer)
        assert works.difference(first, second)
    refused = asyncio.run(load.one_by_one(host.port, [post_json("/generate", frames=-1)], 1))
    assert refused[0].status == 422
