"""Latency at half of what the service can do, with arrivals at random."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

from benchmarks.serving import hosts, load, works
from benchmarks.serving.throughput import CLIENTS, LOADER_CPU, WARM_UP_S
from benchmarks.serving.verdict import Verdict, at_most, none_of

ALONE = 100
"""Requests whose median is the unloaded one."""
CAPACITY_S = 10.0
CONNECTIONS = 256
TIMES = 4.0
"""What the 99th percentile may be of the unloaded median."""


def run(seconds: float, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Verdict]]:
    """Measures both verbs; figures for each, and verdicts."""
    server_core, load_core = hosts.two_cores()
    os.sched_setaffinity(0, {load_core})
    figures: dict[str, Any] = {"seconds": seconds}
    verdicts: list[Verdict] = []
    with hosts.ours(server_core) as ours:
        clips = asyncio.run(works.films(ours.port))
        for verb in works.VERBS:
            asked = works.requests(verb, clips)
            short = min(CAPACITY_S, seconds)
            full = asyncio.run(load.closed(ours.port, asked, CLIENTS, WARM_UP_S + short))
            capacity = full.rate(WARM_UP_S, WARM_UP_S + short)
            alone = asyncio.run(load.one_by_one(ours.port, asked, ALONE))
            unloaded = load.median_ms(alone)
            say(f"{verb}: {capacity:.1f}/s at saturation, {unloaded:.1f} ms alone; now {capacity / 2:.1f}/s")
            half = asyncio.run(
                load.arriving(ours.port, asked, rate=capacity / 2, seconds=seconds, connections=CONNECTIONS)
            )
            times = half.took_ms()
            figures[verb] = {
                "saturation_per_s": round(capacity, 2),
                "unloaded_median_ms": round(unloaded, 2),
                "p50_ms": round(load.quantile(times, 0.5), 2),
                "p99_ms": round(load.quantile(times, 0.99), 2),
                "answers": len(times),
                "answers_checked": works.checked(half),
                "load_cpu": round(half.cpu, 3),
            }
            say(f"{verb}: p50 {load.quantile(times, 0.5):.1f} ms, p99 {load.quantile(times, 0.99):.1f} ms")
            answers = [outcome.answer.json() for outcome in alone[: len(asked)] if outcome.answer is not None]
            verdicts += [
                at_most(f"{verb}: p99 / unloaded median", load.quantile(times, 0.99) / unloaded, TIMES),
                none_of(f"{verb}: answers other than 200, requests unsent", _other(half)),
                none_of(f"{verb}: wrong answers", works.wrong(half, answers)),
                at_most(f"{verb}: load generator's share of its core", half.cpu, LOADER_CPU),
            ]
    return figures, verdicts


def _other(done: load.Load) -> list[str]:
    others = [f"{count} × {status}" for status, count in done.statuses.items() if status != 200]
    return others + ([f"{done.unsent} unsent"] if done.unsent else [])
