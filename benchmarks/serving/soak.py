"""Minutes of everything at once: good requests, bad files, clients that leave. Nothing may pile up."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt

from benchmarks.machine import RESULTS
from benchmarks.serving import hosts, load, works
from benchmarks.serving.connection import Asked, Connection, post_files, post_json
from benchmarks.serving.latency import CAPACITY_S
from benchmarks.serving.throughput import LOADER_CPU, WARM_UP_S
from benchmarks.serving.verdict import Verdict, at_most, none_of
from benchmarks.serving.watch import QUANTITIES, Footprint, Quantity, Watch, growth

PLOT = RESULTS / "soak.png"
LOAD = 0.6
"""Share of what the service can do of this mix."""
CLIENTS, CONNECTIONS = 16, 128
LEAVING_PER_S = 2.0
SETTLED = 0.2
"""The share of the time after which nothing may grow any more."""
GROWTH: dict[Quantity, float] = {"memory_mb": 0.02, "files": 0.05, "threads": 0.02, "processes": 0.02}
"""What each quantity may grow by, as a share of its mean, from then to the end."""


def run(seconds: float, say: Callable[[str], None]) -> tuple[dict[str, Any], list[Verdict]]:
    """Watches the mix for so long; figures and verdicts, and a plot."""
    server_core, load_core = hosts.two_cores()
    os.sched_setaffinity(0, {load_core})
    with hosts.ours(server_core) as ours:
        asked, expected = asyncio.run(_mix(ours.port))
        short = min(CAPACITY_S, seconds)
        full = asyncio.run(load.closed(ours.port, asked, CLIENTS, WARM_UP_S + short))
        capacity = sum(WARM_UP_S <= done.done < WARM_UP_S + short for done in full.outcomes) / short
        say(f"{capacity:.1f}/s of the mix at saturation; now {LOAD * capacity:.1f}/s for {seconds:.0f} s")
        with Watch(ours.process.pid, min(1.0, seconds / 10)) as watch:
            done, left = asyncio.run(_all(ours.port, asked, LOAD * capacity, seconds, say))
    outcomes = done.outcomes
    surprises = sorted({f"{outcome.status} for {expected[outcome.number]}" for outcome in outcomes
                        if outcome.status != expected[outcome.number]})  # fmt: skip
    grown = {quantity: growth(watch.footprints, quantity, SETTLED * seconds) for quantity in QUANTITIES}
    draw(watch.footprints, PLOT)
    figures = {
        "seconds": seconds,
        "mix": {path: sum(one.path == path for one in asked) for path in sorted({one.path for one in asked})},
        "saturation_per_s": round(capacity, 2),
        "sent_per_s": round(len(outcomes) / seconds, 2),
        "clients_that_left": left,
        "statuses": done.statuses,
        "growth": {quantity: round(share, 4) for quantity, share in grown.items()},
        "load_cpu": round(done.cpu, 3),
        "footprints": [asdict(sample) for sample in watch.footprints],
    }
    return figures, [
        *(at_most(f"{name} grows, share of its mean", grown[name], bound) for name, bound in GROWTH.items()),
        none_of("statuses other than expected", surprises),
        none_of("requests unsent", [done.unsent] if done.unsent else []),
        at_most("load generator's share of its core", done.cpu, LOADER_CPU),
    ]


async def _mix(port: int) -> tuple[list[Asked], list[int]]:
    """Requests of every kind, shuffled, and the status that each is to have."""
    clips = await works.films(port)
    connection = await Connection.open(port)

    async def made(asked: Asked) -> bytes:
        answer = await connection.ask(asked)
        if answer.status != 200:
            raise RuntimeError(f"{asked.path}: {answer.body.decode(errors='replace')}")
        return answer.body

    speech = [await made(post_json("/generate", model="librispeech", frames=100, seed=seed)) for seed in range(2)]
    codes = [json.loads(await made(post_files("/encode", {"file": clip}))) for clip in clips[:2]]
    connection.close()
    good = [
        *(post_files("/encode", {"file": clip}) for clip in clips),
        *(post_files("/swap", {"content": clip, "motion": clips[0]}, format=form)
          for clip, form in zip(clips[1:5], ("mp4", "json", "apng", "webm"), strict=True)),
        *(post_json("/generate", seed=seed, n=1 + seed % 3, format=form)
          for seed, form in enumerate(("mp4", "json", "gif", "webp"))),
        *(post_json("/decode", model=works.MODEL, z_c=code["z_c"], z_m=code["z_m"]) for code in codes),
        *(post_files("/encode", {"file": wave}) for wave in speech),
    ]  # fmt: skip
    bad = [
        (post_files("/encode", {"file": clips[0][: len(clips[0]) // 2]}), 400),
        (post_files("/encode", {"file": clips[0][:40] + bytes(2000)}), 400),
        (post_files("/encode", {"file": b"this is no film, but a text\n" * 40}), 415),
        (post_json("/generate", frames=-1), 422),
        (post_json("/generate", model="nobody"), 404),
    ]
    mix = [*((asked, 200) for asked in good), *bad]
    random.Random(0).shuffle(mix)  # noqa: S311 (an order is no secret)
    return [asked for asked, _ in mix], [status for _, status in mix]


async def _all(
    port: int, asked: Sequence[Asked], rate: float, seconds: float, say: Callable[[str], None]
) -> tuple[load.Load, int]:
    """The mix, clients that leave, and a line a minute."""

    async def tell() -> None:
        for minute in range(1, int(seconds // 60) + 1):
            await asyncio.sleep(60)
            say(f"{minute} of {seconds / 60:.0f} minutes")

    telling = asyncio.create_task(tell())
    done, left = await asyncio.gather(
        load.arriving(port, asked, load.at_random(rate, seconds), connections=CONNECTIONS), _leave(port, asked, seconds)
    )
    telling.cancel()
    return done, left


async def _leave(port: int, asked: Sequence[Asked], seconds: float) -> int:
    """Clients that hang up: in the middle of the body, right after it, or while they are answered."""
    chance, end, count = random.Random(1), time.monotonic() + seconds, 0  # noqa: S311
    while time.monotonic() < end:
        await asyncio.sleep(chance.expovariate(LEAVING_PER_S))
        data = chance.choice(asked).data
        connection = await Connection.open(port)
        connection.send(data[: int(len(data) * chance.choice((0.5, 0.9, 1)))])
        await asyncio.sleep(chance.choice((0.001, 0.01, 0.05)))
        connection.close()
        count += 1
    return count


def draw(footprints: Sequence[Footprint], path: Path) -> None:
    """Plots each quantity over time."""
    matplotlib.use("Agg")
    figure, axes = plt.subplots(len(QUANTITIES), 1, figsize=(8, 8), sharex=True, layout="constrained")
    for axis, quantity in zip(axes, QUANTITIES, strict=True):
        axis.plot([sample.at for sample in footprints], [getattr(sample, quantity) for sample in footprints], lw=1)
        axis.set_ylabel(quantity.replace("_mb", ", MB"))
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("seconds")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=100)
    plt.close(figure)
