"""Saturation: 64 clients, beside the same works without HTTP, behind LitServe, and behind a plain FastAPI route."""

from __future__ import annotations

import asyncio
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serving import hosts, load, works
from benchmarks.serving.connection import Asked
from benchmarks.serving.hosts import Host
from benchmarks.serving.verdict import Verdict, at_least, at_most, none_of
from benchmarks.serving.watch import cpu_s

CLIENTS = 64
WARM_UP_S = 1.5
BARE_SHARE = 0.85
LOADER_CPU = 0.9
SWEEP = ((1, 0.001), (4, 0.002), (8, 0.005), (16, 0.01), (32, 0.02))
"""LitServe's `max_batch_size` and `batch_timeout`, of which the fastest is compared with."""


@dataclass(frozen=True)
class Measured:
    """One measurement: answers a second, processor time of each, and what the load was, where it came over HTTP."""

    rate: float
    cpu_ms: float
    load: load.Load | None


@dataclass(frozen=True)
class Contender:
    """Something that answers, paused while another is measured."""

    name: str
    measure: Callable[[], Measured]
    pause: Callable[[], None]
    resume: Callable[[], None]


def run(rounds: int, seconds: float, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Verdict]]:
    """Measures both verbs; figures for each, and verdicts."""
    server_core, load_core = hosts.two_cores()
    os.sched_setaffinity(0, {load_core})
    figures: dict[str, Any] = {"clients": CLIENTS, "rounds": rounds, "seconds": seconds}
    verdicts: list[Verdict] = []
    with hosts.ours(server_core) as ours:
        clips = asyncio.run(works.films(ours.port))
        for verb in works.VERBS:
            asked = works.requests(verb, clips)
            alone = [outcome.answer for outcome in asyncio.run(load.one_by_one(ours.port, asked, len(asked)))]
            ours.pause()
            best, swept = _sweep(verb, asked, server_core, seconds / 2, say)
            with (
                hosts.plain(server_core) as plain,
                hosts.lit(server_core, verb, *best) as lit,
                _bare(verb, clips, server_core, seconds) as bare,
            ):
                others = [_contender(host, asked, seconds) for host in (ours, plain, lit)]
                found = _rounds([bare, *others], rounds, verb, say)
            ours.resume()
            loads = [one.load for measured in found.values() for one in measured if one.load is not None]
            figures[verb] = {
                "requests_per_s": {name: [round(one.rate, 2) for one in each] for name, each in found.items()},
                "cpu_ms_a_request": {name: [round(one.cpu_ms, 2) for one in each] for name, each in found.items()},
                "litserve_sweep": swept,
                "litserve_best": best,
                "load_cpu": max(done.cpu for done in loads),
                "answers_checked": sum(works.checked(done) for done in loads),
            }
            answers = [answer.json() for answer in alone if answer is not None]
            verdicts += _verdicts(verb, found, loads, answers)
    return figures, verdicts


def _verdicts(verb: str, found: dict[str, list[Measured]], loads: list[load.Load], alone: list[Any]) -> list[Verdict]:
    def share(other: str) -> float:
        pairs = zip(found["ours"], found[other], strict=True)
        return statistics.median(a.rate / b.rate if b.rate else float("nan") for a, b in pairs)

    statuses = {status for done in loads for status in done.statuses}
    return [
        at_least(f"{verb}: ours of the bare rate", share("bare"), BARE_SHARE),
        at_least(f"{verb}: ours of LitServe's", share("LitServe"), 1),
        at_least(f"{verb}: ours of plain FastAPI's", share("plain FastAPI"), 1),
        none_of(f"{verb}: answers other than 200", sorted(statuses - {200})),
        none_of(f"{verb}: wrong answers", [fault for done in loads for fault in works.wrong(done, alone)]),
        at_most(f"{verb}: load generator's share of its core", max(done.cpu for done in loads), LOADER_CPU),
    ]


def _rounds(
    contenders: list[Contender], rounds: int, verb: str, say: Callable[[str], None]
) -> dict[str, list[Measured]]:
    """Each once in each round, every round in another order."""
    found: dict[str, list[Measured]] = {contender.name: [] for contender in contenders}
    for contender in contenders:
        contender.pause()
    for number in range(rounds):
        shift = number % len(contenders)
        for contender in [*contenders[shift:], *contenders[:shift]]:
            contender.resume()
            found[contender.name].append(contender.measure())
            contender.pause()
        told = (f"{name} {each[-1].rate:.1f}/s ({each[-1].cpu_ms:.1f} ms)" for name, each in found.items())
        say(f"{verb}, round {number + 1} (processor time of a request): {', '.join(told)}")
    for contender in contenders:
        contender.resume()
    return found


def _contender(host: Host, asked: list[Asked], seconds: float) -> Contender:
    def measure() -> Measured:
        before = cpu_s(host.process.pid)
        done = asyncio.run(load.closed(host.port, asked, CLIENTS, WARM_UP_S + seconds))
        spent = cpu_s(host.process.pid) - before
        return Measured(done.rate(WARM_UP_S, WARM_UP_S + seconds), 1000 * spent / len(done.outcomes), done)

    return Contender(host.name, measure, host.pause, host.resume)


@contextlib.contextmanager
def _bare(verb: works.Verb, clips: list[bytes], core: int, seconds: float) -> Iterator[Contender]:
    with tempfile.TemporaryDirectory() as folder:
        for number, clip in enumerate(clips):
            (Path(folder) / f"{number:03}.mp4").write_bytes(clip)
        with hosts.pinned(core):
            process = subprocess.Popen(  # noqa: S603 (this interpreter, our module)
                [sys.executable, "-m", "benchmarks.serving.bare", verb, folder],
                cwd=hosts.ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        told, said = process.stdin, process.stdout
        assert told is not None  # noqa: S101 (pipes, as asked)
        assert said is not None  # noqa: S101
        if said.readline() != "ready\n":
            raise RuntimeError("the bare engine does not start; its standard error says why")

        def measure() -> Measured:
            before = cpu_s(process.pid)
            told.write(f"{seconds} {WARM_UP_S}\n")
            told.flush()
            rate, done = said.readline().split()
            return Measured(float(rate), 1000 * (cpu_s(process.pid) - before) / int(done), None)

        try:  # it needs no pause: between its lines it sleeps
            yield Contender("bare", measure, pause=lambda: None, resume=lambda: None)
        finally:
            told.close()
            process.wait(30)


def _sweep(
    verb: works.Verb, asked: list[Asked], core: int, seconds: float, say: Callable[[str], None]
) -> tuple[tuple[int, float], dict[str, float]]:
    """LitServe's best settings, and the rate with each."""
    rates: dict[tuple[int, float], float] = {}
    for settings in SWEEP:
        with hosts.lit(core, verb, *settings) as host:
            rates[settings] = _contender(host, asked, seconds).measure().rate
        say(f"{verb}, LitServe with batches of {settings[0]}, {settings[1]} s: {rates[settings]:.1f}/s")
    if not any(rates.values()):
        raise RuntimeError(f"LitServe does not answer /{verb} with 200")
    named = {f"{size}, {timeout} s": round(rate, 2) for (size, timeout), rate in rates.items()}
    return max(rates, key=lambda settings: rates[settings]), named
