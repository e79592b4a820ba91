"""Presets: an iteration of training each, its work, its floor on this device and, where it is quick, its time."""

from __future__ import annotations

import contextlib
import itertools
import sys
from functools import partial, reduce
from operator import add

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch._subclasses import FakeTensorMode
from tqdm import tqdm

from benchmarks.ceilings import ceilings
from benchmarks.clock import median_s
from benchmarks.machine import CPU
from benchmarks.section import Section
from benchmarks.work import Work, counted
from training import methods, preset
from training.baselines.fhvae import FHVAEConfig
from training.datasets import Dataset
from training.iteration import Iteration, descend
from training.mel import mel_bands
from training.preset import Preset

QUICK_S = 1.0
"""The floor above which an iteration is counted and not timed."""
CLIPS = 64
"""Of noise: more would not cost more."""


class Noise:
    """A dataset of noise, as large as a model asks for: what an iteration costs does not depend on what it sees."""

    def __init__(self, chosen: Preset, device: torch.device) -> None:
        self.frames, self.fps, self.frame_shape = chosen.model.frames, chosen.model.fps, chosen.model.frame_shape
        self.device = device
        self.all = torch.rand(CLIPS, self.frames, *self.frame_shape, device=device)

    def __len__(self) -> int:
        return CLIPS

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T *frame"]:
        """Values in [0, 1]."""
        return self.all[indices]

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """Nothing is known of noise."""
        del indices
        return {}


class NoisyRecordings(Noise):
    """The same for presets that learn from recordings, of which there are other windows."""

    def companions(
        self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator
    ) -> Int[Tensor, "B {count}"]:
        """As many as are asked for."""
        del generator
        return indices[:, None].expand(-1, count)


def noise(chosen: Preset, device: torch.device) -> Dataset:
    """As much of it as a preset's iteration learns from."""
    return (NoisyRecordings if chosen.recorded_windows else Noise)(chosen, device)


def iteration(chosen: Preset, device: torch.device, data: Dataset | None = None, *, recorded: bool = True) -> Iteration:
    """What `training.train` repeats, on noise where there is no `data`."""
    torch.manual_seed(0)
    data = noise(chosen, device) if data is None else data
    with device:
        algorithm = methods.algorithm(chosen, data)
    algorithm.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overload is missing
    return Iteration(algorithm, chosen, data, torch.Generator(device).manual_seed(0), recorded=recorded)


def work(chosen: Preset) -> Work:
    """That of an iteration, of which nothing is computed: its updates' terms and gradients."""
    mel_bands(chosen.model.frame_shape[-1], CPU)  # kept from one use to the next: made before, they are real
    # FHVAE looks at the labels of all its data when it is made, which has to be real, too.
    real = isinstance(chosen.model, FHVAEConfig)
    with contextlib.nullcontext() if real else FakeTensorMode(allow_non_fake_inputs=True):
        data = noise(chosen, CPU)
        algorithm = methods.algorithm(chosen, data)
        generator, weights = torch.Generator(), chosen.objective.weights(1.0)
        # Algorithm 2 has the same phase several times.
        works = {
            phase: counted(partial(descend, phase, algorithm, chosen, data, generator, progress=1.0, weights=weights))
            for phase in set(algorithm.phases)
        }
    return reduce(add, (works[phase] for phase in algorithm.phases))


def measure(device: torch.device = CPU) -> Section:
    """An iteration of training of every preset, over its floor."""
    told = tqdm(preset.names(), desc="presets", file=sys.stderr)
    return Section({name: measured(preset.load(name), device) for name in told}, compared="s")


def measured(chosen: Preset, device: torch.device) -> dict[str, float]:
    """The row of a preset: its work and its floor and, where that is quick, its time."""
    asked = work(chosen)
    floor = ceilings(device).floor_s(asked)
    row = {"GFLOP": sum(asked.flops.values()) / 1e9, "MB": asked.bytes / 1e6, "floor, s": floor}
    if floor > QUICK_S:
        return row
    one, numbers = iteration(chosen, device), itertools.count()
    took = median_s(lambda: one(next(numbers)), device)
    return {**row, "s": took, "× floor": took / floor}
