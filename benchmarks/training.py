"""Training: iterations a second on this machine's cores, beside the loop of this project's first release.

That release is frozen in `frozen/first_release.zip`: `rwae_core` (without its media) and `training` of commit 1fb947e,
as `git archive` gives them. Both train the preset `sprites` as `training.train` does, with real clips, their own code
and as many cores; the frozen one in float32. Rounds take turns; the first iterations of each are not counted.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks import agreement
from benchmarks.ceilings import ceilings
from benchmarks.machine import CPU
from benchmarks.presets import iteration, work
from benchmarks.section import Section
from benchmarks.serving.verdict import at_least
from rwae_core.precision import has_bfloat16
from training import preset
from training.datasets.sprites import Sprites

HERE = Path(__file__).parent
FROZEN, DRIVE = HERE / "frozen" / "first_release.zip", HERE / "frozen" / "drive.py"
DATA = Path(os.environ.get("RWAE_DATA", HERE.parent.parent / "shared" / "data")) / "sprites"
PRESET = "sprites"
ROUNDS, ITERATIONS, SKIPPED = 3, 30, 5
FASTER = 2.5
"""Times the first release, which it should be."""


@dataclass(frozen=True)
class Loop:
    """A way to train: whose code, in what precision, on how many processes of how many threads."""

    name: str
    root: Path
    precision: str = "float32"
    processes: int = 1

    def drive(self, iterations: int, out: Path) -> list[float]:
        """Seconds of each iteration of a run in `out`."""
        cores = len(os.sched_getaffinity(0))
        start = ["-m", "torch.distributed.run", f"--nproc-per-node={self.processes}"] if self.processes > 1 else []
        driven = [str(DRIVE), self.precision, str(iterations)]
        asked = ["--preset", PRESET, "--data", str(DATA), "--out", str(out), "--device", "cpu"]
        done = subprocess.run(  # noqa: S603 (ourselves, with names that are ours)
            [sys.executable, *start, *driven, *asked],
            env=os.environ | {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": str(max(1, cores // self.processes))},
            cwd=out.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} does not train: {done.stderr[-2000:]}")
        found: list[float] = json.loads(done.stdout.splitlines()[-1])
        return found


@contextmanager
def first_release() -> Iterator[Path]:
    """A folder with its code."""
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(FROZEN) as frozen:
        frozen.extractall(folder)
        yield Path(folder)


def measure() -> Section:
    """Training steps a second beside the first release's, and how far the terms of the objective are apart."""
    if not DATA.is_dir():
        raise SystemExit(f"training is measured on Sprites, and {DATA} is not there: set RWAE_DATA to its folder")
    cores = len(os.sched_getaffinity(0))
    with first_release() as frozen, tempfile.TemporaryDirectory() as folder:
        first = Loop("first release, float32", frozen)
        plain = Loop("float32", HERE.parent)
        fastest = "bfloat16" if has_bfloat16(CPU) else "float32"
        ours = Loop("as the preset says, bfloat16", HERE.parent, "bfloat16") if has_bfloat16(CPU) else plain
        several = Loop(f"{fastest}, torchrun with {cores} processes", HERE.parent, fastest, cores)
        loops = list(dict.fromkeys([first, plain, ours, several]))
        outs = (Path(folder) / str(number) for number in range(1000))
        seconds: dict[str, list[float]] = {loop.name: [] for loop in loops}
        for _ in range(ROUNDS):
            for loop in loops:
                taken = loop.drive(ITERATIONS, next(outs))[SKIPPED:]
                seconds[loop.name].append(statistics.median(taken))

    chosen = preset.load(PRESET)
    data = Sprites(DATA, "train")
    compared = agreement.terms(iteration(chosen, CPU, data), agreement.ITERATIONS)
    asked, ceiling = work(chosen), ceilings(CPU)
    flops = sum(asked.flops.values())
    peaks = {"float32": ceiling.peak(torch.float32), "bfloat16": ceiling.peak(torch.bfloat16)}
    ratios = {
        name: statistics.median(before / now for before, now in zip(seconds[first.name], each, strict=True))
        for name, each in seconds.items()
    }
    rows = {
        loop.name: {
            "steps/s": 1 / statistics.median(seconds[loop.name]),
            "× first release": ratios[loop.name],
            "% of that peak": 100 * flops / statistics.median(seconds[loop.name]) / peaks[loop.precision],
        }
        for loop in loops
    }
    best = max(ratios[ours.name], ratios[several.name])
    verdicts = [at_least("steps/s, times the first release", best, FASTER), *agreement.agreement(*compared)]
    return Section(rows, "steps/s", verdicts, {"seconds": seconds})
