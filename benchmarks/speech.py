"""Sound through the service: it starts as its users start it, pinned to one core, and is asked over HTTP from another.

One request follows the other.
"""

from __future__ import annotations

import asyncio
import io
import statistics
import time
from pathlib import Path

import numpy as np
import soundfile

from benchmarks.section import Section
from benchmarks.serving import load
from benchmarks.serving.connection import Asked, post_files
from benchmarks.serving.hosts import ours, two_cores
from benchmarks.serving.verdict import at_least, at_most
from benchmarks.serving.watch import Watch, typical

EXAMPLES = Path(__file__).parent.parent / "examples"
REPEATS, SWAPS = 20, 5
LONG_S = 60
ENCODE_RATE, SWAP_S, MEMORY_MB = 50.0, 5.0, 300.0
"""What it should do: times real time, seconds, megabytes more than before."""


def sound(name: str, seconds: float) -> bytes:
    """One of the examples, repeated or cut to this length, as WAV."""
    samples, rate = soundfile.read(EXAMPLES / f"{name}.wav", dtype="float32")
    held = io.BytesIO()
    soundfile.write(held, np.resize(samples, int(seconds * rate)), rate, format="WAV", subtype="PCM_16")
    return held.getvalue()


def seconds(port: int, asked: Asked, repeats: int, warm_up: int = 0) -> list[float]:
    """How long each of these requests takes, one after the other."""
    return [outcome.took_ms / 1000 for outcome in asyncio.run(load.answered(port, [asked], repeats, warm_up))]


def measure() -> Section:
    """Sound through the service on one core: the speed of /encode, and time and memory of swapping a minute."""
    core, _ = two_cores()
    short = post_files("/encode", {"file": sound("voice_a", 1)})
    swap = post_files("/swap", {"content": sound("voice_a", LONG_S), "motion": sound("voice_b", LONG_S)})
    with ours(core) as server:
        encodes = seconds(server.port, short, REPEATS, warm_up=3)
        with Watch(server.process.pid, 0.05) as idle:
            time.sleep(2)
        with Watch(server.process.pid, 0.05) as busy:
            swaps = seconds(server.port, swap, SWAPS)
    before = typical(idle.footprints, "memory_mb", 0, 2)
    grown = max(sample.memory_mb for sample in busy.footprints) - before
    rate, longest = 1 / statistics.median(encodes), max(swaps)
    rows = {
        "/encode of 1 s, times real time": rate,
        f"/swap of {LONG_S} s, the slowest of {SWAPS}, s": longest,
        "memory before, MB": before,
        "memory more meanwhile, MB": grown,
    }
    return Section(
        {name: {"measured": value} for name, value in rows.items()},
        "measured",
        [
            at_least("/encode of 1 s, times real time", rate, ENCODE_RATE),
            at_most(f"/swap of {LONG_S} s, the slowest of {SWAPS}", longest, SWAP_S, " s"),
            at_most("memory more meanwhile", grown, MEMORY_MB, " MB"),
        ],
        {"encode_s": encodes, "swap_s": swaps},
    )
