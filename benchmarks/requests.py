"""Requests: what the model does for each call of the service, its work, its floor on this device and its time."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch

from benchmarks.ceilings import ceilings
from benchmarks.clock import median_s
from benchmarks.machine import CPU
from benchmarks.section import Section
from benchmarks.serving.works import WEIGHTS
from benchmarks.work import counted
from rwae_core.model import RWAE
from rwae_core.prepared import fastest_dtype
from service.networks import read_network

FRAMES = 100
"""Of what `/generate` makes; clips that are sent are as long as those that the model learned from."""


def served(device: torch.device) -> dict[str, RWAE]:
    """The networks of `weights/` as the service has them on a device, by name."""
    folders = sorted(path.parent for path in WEIGHTS.glob("*/config.json"))
    return {folder.name: read_network(folder, device, fastest_dtype())[0] for folder in folders}


def calls(model: RWAE) -> Mapping[str, Callable[[], object]]:
    """What each call asks of a model, of one clip or of two; `/encode` says how well the codes decode, too."""
    generator = torch.Generator().manual_seed(0)
    a, b = (model.generate(1, model.config.frames, generator) for _ in range(2))
    codes = model.encode(a)
    return {
        "/encode": lambda: model.decode(model.encode(a)),
        "/decode": lambda: model.decode(codes),
        "/swap": lambda: model.swap(a, b),
        f"/generate, T = {FRAMES}": lambda: model.generate(1, FRAMES, generator),
    }


@torch.no_grad()
def measure(device: torch.device = CPU) -> Section:
    """What every call asks of every model of `weights/`, over its floor."""
    rows = {}
    counts = served(CPU)
    for model, network in served(device).items():
        works = {name: counted(call) for name, call in calls(counts[model]).items()}
        for name, call in calls(network).items():
            floor, took = ceilings(device).floor_s(works[name]), median_s(call, device)
            rows[f"{model} {name}"] = {
                "GFLOP": sum(works[name].flops.values()) / 1e9,
                "MB": works[name].bytes / 1e6,
                "floor, ms": 1000 * floor,
                "ms": 1000 * took,
                "× floor": took / floor,
            }
    return Section(rows, compared="ms")
