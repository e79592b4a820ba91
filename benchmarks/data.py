"""Times the datasets that are rendered: frames a second, and the share of a training step that goes into data.

Prints Markdown. Each rate is a median over repeats of one batch; each share is that of the data's calls in a short real
run of the preset. Machines are noisy: compare figures of one run with each other.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rwae_core.memory import keep_freed_memory
from training import preset
from training.datasets import Dataset
from training.datasets.catalogue import DATASETS, Name, open_dataset
from training.train import train

PRESETS: tuple[Name, ...] = ("sprites", "sm-mnist", "moving-shapes")
"""The rendered datasets, each with the preset of its name."""
REPEATS, STEPS = 50, 40


class Timed:
    """A dataset that adds up how long its clips and labels take."""

    def __init__(self, data: Dataset) -> None:
        self.data = data
        self.frames, self.fps, self.frame_shape, self.device = data.frames, data.fps, data.frame_shape, data.device
        self.seconds = 0.0

    def __len__(self) -> int:
        return len(self.data)

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T *frame"]:
        """The dataset's."""
        started = self._now()
        clips = self.data.clips(indices)
        self.seconds += self._now() - started
        return clips

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The dataset's."""
        started = self._now()
        labels = self.data.labels(indices)
        self.seconds += self._now() - started
        return labels

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()


def frames_per_second(data: Dataset, batch: int) -> float:
    """The median rate of random batches, after a warm-up."""
    timed = Timed(data)
    generator = torch.Generator(data.device).manual_seed(0)
    rates = []
    for repeat in range(REPEATS + 3):
        indices = torch.randint(len(data), (batch,), generator=generator, device=data.device)
        timed.seconds = 0
        timed.clips(indices)
        if repeat >= 3:
            rates.append(batch * data.frames / timed.seconds)
    return statistics.median(rates)


def share_of_a_step(name: Name, root: Path, device: torch.device) -> tuple[float, float]:
    """Share of the time of a short run that its data takes, and seconds a step."""
    chosen = preset.load(name)
    schedule = chosen.schedule.model_copy(update={"iterations": STEPS})
    chosen = chosen.model_copy(update={"schedule": schedule})
    data = _open(name, root, device)
    timed, held_out = Timed(data), data
    with tempfile.TemporaryDirectory() as out:
        started = time.perf_counter()
        train(chosen, timed, held_out, Path(out), device=device, seed=0)
        seconds = time.perf_counter() - started
    return timed.seconds / seconds, seconds / STEPS


def _open(name: Name, root: Path, device: torch.device) -> Dataset:
    model = preset.load(name).model
    folder = root / DATASETS[name].source.folder
    return open_dataset(name, folder, "train", device, frames=model.frames, frame_shape=model.frame_shape)


def main(arguments: list[str] | None = None) -> int:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument(
        "data",
        type=Path,
        nargs="?",
        default=Path("../shared/data"),
        help="holds sprites and mnist (default: %(default)s)",
    )
    given = parser.parse_args(arguments)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    keep_freed_memory()
    print(f"{device}, {torch.get_num_threads()} threads; rates are medians of {REPEATS}, shares of {STEPS} steps\n")
    print("| preset | clips × frames | frames a second | seconds a step | share of data |\n|---|---|---|---|---|")
    for name in PRESETS:
        batch = preset.load(name).schedule.batch
        data = _open(name, given.data, device)
        rate = frames_per_second(data, batch)
        share, seconds = share_of_a_step(name, given.data, device)
        print(f"| {name} | {batch} × {data.frames} | {rate:,.0f} | {seconds:.3f} | {100 * share:.1f}% |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
