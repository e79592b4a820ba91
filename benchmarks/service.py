"""The service alone, asked by one client over HTTP: how much it adds to its parts, its start and its memory.

It is started as its users start it, `python -m service`, with one model of S networks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.ceilings import ceilings
from benchmarks.clock import threads
from benchmarks.machine import CPU
from benchmarks.requests import FRAMES as LONG
from benchmarks.requests import served
from benchmarks.section import Section
from benchmarks.serving import hosts, load
from benchmarks.serving.connection import post_files, post_json
from benchmarks.serving.hosts import Host
from benchmarks.serving.verdict import at_least, at_most
from benchmarks.serving.watch import Watch
from benchmarks.serving.works import FPS, MODEL, SIZE, WEIGHTS, films
from benchmarks.work import counted
from rwae_core.media.decode import decode_video
from rwae_core.media.encode import encode_video
from rwae_core.media.limits import MediaLimits

STARTS, ROUNDS, SWAPS, GENERATED = 3, 3, 30, 20
WARM_UP, REST_S = 5, 0.5
"""Before a series threads of the one before spin a while, waiting for more, on processors that it needs."""
SWAP_TIMES, FRAMES_A_SECOND, START_S, MEMORY_MB = 1.3, 3000.0, 4.0, 900.0
"""What it should do: /swap of its parts, frames a second and core, seconds until ready, megabytes."""


def measure() -> Section:
    """The service alone, asked by one client over HTTP, beside its parts; its start and its memory."""
    with _one_model() as weights:
        start = statistics.median(_start_s(weights) for _ in range(STARTS))
        with hosts.ours(RWAE_WEIGHTS_DIR=weights) as ours:
            swap, parts = asyncio.run(_swaps(ours))
            with Watch(ours.process.pid, 0.2) as watch:
                time.sleep(2)
        memory = max(sample.memory_mb for sample in watch.footprints)
        with hosts.ours(hosts.two_cores()[0], RWAE_WEIGHTS_DIR=weights) as one_core:
            rate = LONG / asyncio.run(_generates(one_core))
    floor = LONG / _floor_s()
    rows = {
        "/swap of two clips over HTTP, ms": 1000 * swap,
        **{f"its parts alone: {name}, ms": 1000 * took for name, took in parts.items()},
        "/swap, times its parts": swap / sum(parts.values()),
        f"/generate of {LONG} frames, frames a second of the model's time, one core": rate,
        "the most that the core's ceilings allow": floor,
        "seconds from start to ready": start,
        "memory after that (PSS), MB": memory,
    }
    return Section(
        {name: {"measured": value} for name, value in rows.items()},
        "measured",
        [
            at_most("/swap, times its parts", swap / sum(parts.values()), SWAP_TIMES),
            at_least(
                "/generate, frames a second of one core",
                rate,
                min(FRAMES_A_SECOND, floor / SWAP_TIMES),
            ),
            at_most("seconds from start to ready", start, START_S),
            at_most("memory (PSS), MB", memory, MEMORY_MB),
        ],
    )


@contextlib.contextmanager
def _one_model() -> Iterator[str]:
    """A weights folder with one model in it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(WEIGHTS / MODEL, Path(folder) / MODEL)
        yield folder


def _start_s(weights: str) -> float:
    begun = time.perf_counter()
    with hosts.ours(RWAE_WEIGHTS_DIR=weights):
        return time.perf_counter() - begun


async def _swaps(ours: Host) -> tuple[float, dict[str, float]]:
    """Medians of /swap over HTTP and of what it is made of, in series that take turns, with as many threads."""
    content, motion = (await films(ours.port))[:2]
    asked, whole = post_files("/swap", {"content": content, "motion": motion}), list[float]()
    with threads(len(os.sched_getaffinity(0))), torch.inference_mode():
        parts = _parts(content, motion)
        alone = {name: list[float]() for name in parts}
        for _ in range(ROUNDS):
            time.sleep(REST_S)
            whole += [outcome.took_ms / 1000 for outcome in await load.answered(ours.port, [asked], SWAPS)]
            for name, part in parts.items():
                time.sleep(REST_S)
                alone[name] += timeit.repeat(part, number=1, repeat=SWAPS)
    return statistics.median(whole), {name: statistics.median(each) for name, each in alone.items()}


def _parts(content: bytes, motion: bytes) -> dict[str, Callable[[], object]]:
    """What a /swap is made of, each alone."""
    model = served(CPU)[MODEL]
    decode = partial(decode_video, size=SIZE, channels=3, fit="crop", limits=MediaLimits())
    clips = [torch.from_numpy(decode(file).frames)[None].movedim(-1, 2).float() / 255 for file in (content, motion)]
    frames = np.ascontiguousarray(model.swap(*clips)[0].movedim(1, -1).mul(255).round().byte().numpy())
    return {
        "decoding both": lambda: (decode(content), decode(motion)),
        "the model": lambda: model.swap(*clips),
        "encoding": lambda: encode_video(frames, FPS, "mp4"),
    }


async def _generates(ours: Host) -> float:
    """Seconds of the model's time of /generate, the median, as `Server-Timing` has it."""
    asked = [post_json("/generate", model=MODEL, frames=LONG, seed=seed) for seed in range(4)]
    outcomes = await load.answered(ours.port, asked, GENERATED, WARM_UP)
    return statistics.median(outcome.stages["model"] for outcome in outcomes) / 1000


@torch.no_grad()
def _floor_s() -> float:
    """Seconds that one core takes for it at least."""
    model, generator = served(CPU)[MODEL], torch.Generator().manual_seed(0)
    with threads(1):
        return ceilings(CPU).floor_s(counted(lambda: model.generate(1, LONG, generator)))
