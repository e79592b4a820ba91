"""Training: iterations a second on this machine's cores, beside the loop of this project's first release.

That release is frozen in `frozen/first_release.zip`: `rwae_core` (without its media) and `training` of commit 1fb947e,
as `git archive` gives them. Both train the preset `sprites` as `training.train` does, with real clips, their own code
and as many cores; the frozen one in float32. All are started and take turns of a few seconds, in which the others are
stopped (SIGSTOP), so that what else the machine does slows all of them down alike.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil
import torch
from tqdm import tqdm

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
TURNS, TURN_S, SKIPPED = 25, 2.0, 8
"""Turns of each loop, seconds of one, and iterations before the first."""
FASTER = 2.5
"""Times the first release, which it should be."""


@dataclass(frozen=True)
class Loop:
    """A way to train: whose code, in what precision, on how many processes of how many threads."""

    name: str
    root: Path
    precision: str = "float32"
    processes: int = 1

    @contextmanager
    def started(self, out: Path) -> Iterator[Running]:
        """The loop in a run at `out`, stopped where its first few iterations are done; it ends with the context.

        Raises:
            RuntimeError: It does not train, and what it said.
        """
        cores = len(os.sched_getaffinity(0))
        start = ["-m", "torch.distributed.run", f"--nproc-per-node={self.processes}"] if self.processes > 1 else []
        asked = ["--preset", PRESET, "--data", str(DATA), "--out", str(out), "--device", "cpu"]
        told, said = out.with_suffix(".moments"), out.with_suffix(".said")
        with told.open("wb") as stdout, said.open("wb") as stderr:
            process = psutil.Popen(
                [sys.executable, *start, str(DRIVE), self.precision, *asked],
                env=os.environ
                | {"PYTHONPATH": str(self.root), "OMP_NUM_THREADS": str(max(1, cores // self.processes))},
                cwd=out.parent,
                stdout=stdout,
                stderr=stderr,
            )
        running = Running(process, told)
        try:
            while len(running.moments()) <= SKIPPED:
                if process.poll() is not None:
                    raise RuntimeError(f"{self.name} does not train: {said.read_text()[-2000:]}")
                time.sleep(0.1)
            running.pause()
            yield running
        finally:
            running.end()


@dataclass(frozen=True)
class Running:
    """A loop that has been started, and where it says when its iterations begin."""

    process: psutil.Popen
    told: Path

    def turn(self, seconds: float) -> float:
        """Lets it go on for so long; seconds of an iteration, the median of those that were all in this turn."""
        for each in self._all():
            each.resume()
        begin = time.perf_counter()
        time.sleep(seconds)
        end = time.perf_counter()
        self.pause()
        inside = [moment for moment in self.moments() if begin <= moment <= end]
        if len(inside) < 2:
            raise RuntimeError(
                f"an iteration takes more than {seconds / 2:g} s: this machine is too slow for turns of that"
            )
        return statistics.median(after - before for before, after in pairwise(inside))

    def moments(self) -> list[float]:
        """When each iteration so far began."""
        *whole, _ = self.told.read_text().split("\n")
        return [float(line) for line in whole]

    def pause(self) -> None:
        """Stops it where it is."""
        for each in self._all():
            each.suspend()

    def end(self) -> None:
        """Ends it, wherever it is."""
        for each in self._all():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()

    def _all(self) -> list[psutil.Process]:
        """It and those that it has started, in sessions of their own."""
        return [*self.process.children(recursive=True), self.process] if self.process.is_running() else []


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
        seconds: dict[str, list[float]] = {loop.name: [] for loop in loops}
        with ExitStack() as stack:
            started = {
                loop.name: stack.enter_context(loop.started(Path(folder) / str(number)))
                for number, loop in enumerate(loops)
            }
            for _ in tqdm(range(TURNS), desc="training", leave=False):
                for name, running in started.items():
                    seconds[name].append(running.turn(TURN_S))

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
