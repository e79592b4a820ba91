"""One run of every kind of objective that presets have, small and in float64, for processes to be compared by.

As a program, started by torchrun, it makes these runs and shows what a batch that cannot be shared evenly gets.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from training import preset, processes, train
from training.datasets import Dataset
from training.datasets.utterances import Recording, Utterances
from training.preset import Preset

STEPS, BATCH, FRAMES, SIZE = 12, 16, 2, 16


def kinds() -> dict[str, Preset]:
    """Presets until every method's every set of terms, every cost, view and schedule are there.

    With narrow networks on small frames; the networks, which see one clip at a time, are the simple ones.
    """
    chosen, met = {}, set[object]()
    for name in preset.names():
        each = small(preset.load(name))
        terms, method = frozenset(each.objective.weights(1.0)), type(each.model)
        has = {(method, terms), each.objective.cost, bool(each.schedule.inner_steps), len(each.model.frame_shape)}
        has |= {view for view, value in each.views.model_dump().items() if value}
        if has - met:
            chosen[name] = each
        met |= has
    return chosen


def small(chosen: Preset) -> Preset:
    raw: dict[str, Any] = chosen.model_dump()
    raw["bfloat16"] = False
    raw["schedule"] |= {"iterations": STEPS, "batch": BATCH, "inner_steps": min(raw["schedule"]["inner_steps"], 1)}
    raw["views"] = {view: min(value, 2) for view, value in raw["views"].items()}
    model = raw["model"]
    model |= {"frames": FRAMES, "content_dim": 5, "motion_dim": 3}
    model |= {field: 12 for field in ("hidden_dim",) if field in model}
    model |= {field: (4, 4, 4) for field in ("patch_widths",) if field in model}
    if "widths" in model:
        model |= {"widths": (6, 6), "size": SIZE}
    networks = model.get("frame_networks", {"network": "none"})
    if networks["network"] == "spectrum":
        networks["widths"] = (8,)
    elif networks["network"] != "none":
        small_ones = {"network": "simple", "size": SIZE, "encoder_widths": (4, 4), "decoder_widths": (6, 4)}
        model["frame_networks"] = small_ones | {field: networks[field] for field in ("channels", "output")}
    return Preset.model_validate(raw)


class Films:
    """Clips of noise."""

    fps = 8.0
    device = torch.device("cpu")

    def __init__(self, frame_shape: tuple[int, ...]) -> None:
        self.frames, self.frame_shape = FRAMES, frame_shape
        generator = torch.Generator().manual_seed(0)
        self.pixels = torch.rand(12, FRAMES, *frame_shape, generator=generator, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.pixels)

    def clips(self, indices: torch.Tensor) -> torch.Tensor:
        return self.pixels[indices]

    def companions(self, indices: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """Every two clips are of one recording."""
        return indices[:, None] ^ torch.randint(2, (len(indices), count), generator=generator)

    def look_alikes(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Every other clip shows the same."""
        del generator
        return (indices + 2) % len(self)

    def labels(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        del indices
        return {}


class Voices(Utterances):
    """Utterances of noise."""

    def clips(self, indices: torch.Tensor) -> torch.Tensor:
        return super().clips(indices).double()


def record(folder: Path) -> None:
    """The files of `Voices`."""
    folder.mkdir()
    for speaker in range(5):
        noise = np.random.default_rng(speaker).standard_normal(2000 + 300 * speaker)
        soundfile.write(folder / f"{speaker}.wav", 0.03 * (1 + speaker) * noise, 16_000)


def data_for(chosen: Preset, folder: Path) -> Dataset:
    if len(chosen.model.frame_shape) == 3:
        return Films(chosen.model.frame_shape)
    return Voices([Recording(path, path.stem) for path in sorted(folder.iterdir())], "cpu", FRAMES, "noise")


@contextmanager
def in_float64() -> Iterator[None]:
    """Weights and noise in float64, and every step logged."""
    every, train.LOG_EVERY = train.LOG_EVERY, 1
    pairs, train.WATCHED_PAIRS = train.WATCHED_PAIRS, 4
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)
        train.LOG_EVERY, train.WATCHED_PAIRS = every, pairs


def run(chosen: Preset, recordings: Path, out: Path) -> None:
    data = data_for(chosen, recordings)
    with in_float64():
        train.train(chosen, data, data, out, device=torch.device("cpu"), seed=0)


def main(recordings: Path, out: Path) -> None:
    processes.join("cpu")
    chosen = kinds()
    for name, each in chosen.items():
        run(each, recordings, out / name)
    uneven = each.model_copy(update={"schedule": each.schedule.model_copy(update={"batch": BATCH + 1})})
    try:
        run(uneven, recordings, out / "uneven")
    except train.TrainingError as error:
        print(f"{processes.rank()}: {error}")
    processes.leave()


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
