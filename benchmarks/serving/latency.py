"""Latency at half of what the service can do, with arrivals at equal distances and at random.

Arrivals at random are set beside an ideal server's: whoever serves one after the other has 4.3 service times at the
99th percentile of such a load, however good its code.
"""

from __future__ import annotations

import asyncio
import os
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.serving import hosts, load, works
from benchmarks.serving.connection import Asked
from benchmarks.serving.hosts import Host
from benchmarks.serving.ideal import ORDERS, Ideal
from benchmarks.serving.throughput import CLIENTS, LOADER_CPU, WARM_UP_S
from benchmarks.serving.verdict import Verdict, at_most, none_of
from service.app import CPU_BATCH_FRAMES

ALONE = 100
"""Requests whose median is the unloaded one."""
CAPACITY_S = 10.0
CONNECTIONS = 256
TIMES = 4.0
"""What the 99th percentile may be of the unloaded median, at equal distances."""
SLOWEST = 0.02
"""The share of the answers whose stages are told apart."""
STAGES = ("decode", "queue", "model", "encode")


def run(seconds: float, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Verdict]]:
    """Measures both verbs; figures for each, and verdicts."""
    server_core, load_core = hosts.two_cores()
    os.sched_setaffinity(0, {load_core})
    figures: dict[str, Any] = {"seconds": seconds}
    verdicts: list[Verdict] = []
    with hosts.ours(server_core) as ours:
        clips = asyncio.run(works.films(ours.port))
        for verb in works.VERBS:
            figures[verb], found = _measured(verb, ours, works.requests(verb, clips), seconds, say)
            verdicts += found
    return figures, verdicts


def _measured(
    verb: str, ours: Host, asked: Sequence[Asked], seconds: float, say: Callable[[str], None]
) -> tuple[dict[str, Any], list[Verdict]]:
    short = min(CAPACITY_S, seconds)
    full = asyncio.run(load.closed(ours.port, asked, CLIENTS, WARM_UP_S + short))
    capacity = full.rate(WARM_UP_S, WARM_UP_S + short)
    alone = asyncio.run(load.one_by_one(ours.port, asked, ALONE))
    unloaded = load.median_ms(alone)
    say(f"{verb}: {capacity:.1f}/s at saturation, {unloaded:.1f} ms alone; now {capacity / 2:.1f}/s")
    figures: dict[str, Any] = {
        "saturation_per_s": round(capacity, 2),
        "unloaded_median_ms": round(unloaded, 2),
        "unloaded_stages_ms": _stages(alone),
    }
    answers = [outcome.answer.json() for outcome in alone[: len(asked)] if outcome.answer is not None]
    verdicts: list[Verdict] = []
    for distances, moments in (("equal", load.steadily), ("random", load.at_random)):
        due = list(moments(capacity / 2, seconds))
        half = asyncio.run(load.arriving(ours.port, asked, due, connections=CONNECTIONS))
        times = half.took_ms()
        p50, p99 = (load.quantile(times, share) for share in (0.5, 0.99))
        answered = sorted((each for each in half.outcomes if each.status == 200), key=lambda each: each.took_ms)
        figures[distances] = {
            "p50_ms": round(p50, 2),
            "p99_ms": round(p99, 2),
            "stages_ms": _stages(answered),
            "slowest_stages_ms": _stages(answered[int((1 - SLOWEST) * len(answered)) :]),
            "answers": len(times),
            "answers_checked": works.checked(half),
            "load_cpu": round(half.cpu, 3),
        }
        say(f"{verb}, {distances} distances: p50 {p50:.1f} ms, p99 {p99:.1f} ms ({p99 / unloaded:.1f} × unloaded)")
        if distances == "equal":
            verdicts.append(at_most(f"{verb}: p99 / unloaded median", p99 / unloaded, TIMES))
        else:
            ideal = Ideal([each.took_ms for each in alone], capacity, CPU_BATCH_FRAMES // works.FRAMES)
            figures[distances]["ideal_p99_ms"] = {
                name: round(load.quantile(ideal.took_ms(due, order), 0.99), 2) for name, order in ORDERS.items()
            }
        verdicts += [
            none_of(f"{verb}, {distances} distances: answers other than 200, requests unsent", _other(half)),
            none_of(f"{verb}, {distances} distances: wrong answers", works.wrong(half, answers)),
            at_most(f"{verb}, {distances} distances: load generator's share of its core", half.cpu, LOADER_CPU),
        ]
    return figures, verdicts


def _stages(outcomes: Sequence[load.Outcome]) -> dict[str, float]:
    """Medians of the stages that the service tells of, and of all else: HTTP, forms, the way there and back."""
    found = {name: [outcome.stages.get(name, 0.0) for outcome in outcomes] for name in STAGES}
    found["else"] = [outcome.took_ms - sum(outcome.stages.values()) for outcome in outcomes]
    return {name: round(statistics.median(values), 2) for name, values in found.items() if values}


def _other(done: load.Load) -> list[str]:
    others = [f"{count} × {status}" for status, count in done.statuses.items() if status != 200]
    return others + ([f"{done.unsent} unsent"] if done.unsent else [])
