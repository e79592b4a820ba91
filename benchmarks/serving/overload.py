"""Ten times what the service can do: it turns away, answers correctly what it accepts, does not grow, and recovers."""

from __future__ import annotations

import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.serving import hosts, load, works
from benchmarks.serving.connection import Asked, Connection
from benchmarks.serving.latency import ALONE, CAPACITY_S
from benchmarks.serving.throughput import CLIENTS, LOADER_CPU, WARM_UP_S
from benchmarks.serving.verdict import Verdict, at_most, none_of
from benchmarks.serving.watch import Watch, typical

TIMES = 10
CONNECTIONS = 256
"""Four times the service's queue: enough to keep it full while what is turned away is on its way."""
ALLOWED = {200, 429, 503, 504}
MEMORY_GROWS = 0.05
RECOVERED, RECOVERY_S = 1.5, 5.0
"""Times the unloaded median, and the seconds after the last arrival by which answers are that fast again."""
PROBES = 5
"""Answers one after the other whose median has to be fast."""


def run(seconds: float, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Verdict]]:
    """Measures both verbs mixed; figures and verdicts."""
    server_core, load_core = hosts.two_cores()
    os.sched_setaffinity(0, {load_core})
    with hosts.ours(server_core) as ours:
        clips = asyncio.run(works.films(ours.port))
        encode, generate = (works.requests(verb, clips) for verb in works.VERBS)
        asked = [one for pair in zip(encode, generate, strict=True) for one in pair]
        short = min(CAPACITY_S, seconds)
        full = asyncio.run(load.closed(ours.port, asked, CLIENTS, WARM_UP_S + short))
        capacity = full.rate(WARM_UP_S, WARM_UP_S + short)
        alone = asyncio.run(load.one_by_one(ours.port, asked, len(asked)))
        unloaded = load.median_ms(asyncio.run(load.one_by_one(ours.port, encode, ALONE)))
        say(f"{capacity:.1f}/s at saturation, /encode takes {unloaded:.1f} ms alone; now {TIMES * capacity:.0f}/s")
        with Watch(ours.process.pid) as watch:
            storm = asyncio.run(
                load.arriving(ours.port, asked, load.at_random(TIMES * capacity, seconds), connections=CONNECTIONS)
            )
        recovery = storm.drained_s + asyncio.run(_recovery(ours.port, encode, RECOVERED * unloaded))
    minute = min(60.0, seconds / 3)
    first = typical(watch.footprints, "memory_mb", 0, minute)
    last = typical(watch.footprints, "memory_mb", seconds - minute / 4, seconds + storm.drained_s)
    answers = [outcome.answer.json() for outcome in alone if outcome.answer is not None]
    offered = len(storm.outcomes) + storm.unsent
    say(f"offered {offered}, of which {storm.unsent} found {CONNECTIONS} connections busy; answers {storm.statuses}")
    figures = {
        "seconds": seconds,
        "saturation_per_s": round(capacity, 2),
        "offered_per_s": round(offered / seconds, 1),
        "sent_per_s": round(len(storm.outcomes) / seconds, 1),
        "accepted_per_s": round(storm.rate(0, seconds), 2),
        "connections": CONNECTIONS,
        "statuses": storm.statuses,
        "answers_checked": works.checked(storm),
        "unloaded_median_ms": round(unloaded, 2),
        "accepted_p50_ms": round(load.quantile(storm.took_ms(), 0.5), 1),
        "accepted_p99_ms": round(load.quantile(storm.took_ms(), 0.99), 1),
        "recovery_s": round(recovery, 2),
        "memory_mb": {"first": round(first, 1), "last": round(last, 1)},
        "load_cpu": round(storm.cpu, 3),
        "footprints": [asdict(sample) for sample in watch.footprints],
    }
    return figures, [
        none_of("statuses other than 200, 429, 503, 504", sorted(set(storm.statuses) - ALLOWED)),
        none_of("429 and 503 without Retry-After", _silent(storm)),
        none_of("wrong answers", works.wrong(storm, answers)),
        at_most("memory at the end / in the first minute", last / first, 1 + MEMORY_GROWS),
        at_most(f"time to {RECOVERED} × the unloaded latency", recovery, RECOVERY_S, " s"),
        at_most("load generator's share of its core", storm.cpu, LOADER_CPU),
    ]


def _silent(done: load.Load) -> list[int]:
    """Statuses of the kept answers that turn away and do not say until when."""
    kept = [outcome.answer for outcome in done.outcomes if outcome.answer is not None]
    return [answer.status for answer in kept if answer.status in (429, 503) and "retry-after" not in answer.headers]


async def _recovery(port: int, asked: Sequence[Asked], fast_ms: float) -> float:
    """Seconds until the median of some answers in a row is fast; gives up after six times what is allowed."""
    connection, start = await Connection.open(port), time.monotonic()
    ended: list[float] = []
    while (now := time.monotonic() - start) < 6 * RECOVERY_S:
        answer = await connection.ask(asked[0])
        took = 1000 * (time.monotonic() - start - now)
        ended.append(took if answer.status == 200 else float("inf"))
        if len(ended) >= PROBES and statistics.median(ended[-PROBES:]) <= fast_ms:
            break
    connection.close()
    return time.monotonic() - start
