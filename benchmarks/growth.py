"""Growth: what more costs. Frames, clips at once, pixels, and clients; nothing may cost more than in proportion."""

from __future__ import annotations

import asyncio
import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from tqdm import tqdm

from benchmarks.clock import times
from benchmarks.machine import CPU, RESULTS
from benchmarks.requests import served
from benchmarks.section import Section
from benchmarks.serving import hosts, load, works
from benchmarks.serving.verdict import at_most
from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.model import RWAE
from training import preset

PLOT = RESULTS / "growth.svg"
FRAMES = (8, 16, 32, 64, 125, 250, 500, 1000)
CLIPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
FRAMES_EACH = 2
"""Of the clips that pass at once: so many of 8 frames would take 10 GB."""
SIZES = (64, 128)
WIDTHS = ("sprites", "sprites-mmd-s")
"""Presets whose S networks draw clips of both sizes: ours, and the paper's."""
CLIENTS = (1, 4, 16, 64, 256)
CLIENTS_S, WARM_UP_S = 10.0, 2.0
WORST = 1.1
"""The slope that a line may have: 1 is in proportion, the rest is noise and caches that end."""


@dataclass(frozen=True)
class Curve:
    """Seconds that sizes took at best, for clients in the median, and how many requests a second these all had."""

    what: str
    unit: str
    sizes: Sequence[int]
    seconds: Sequence[float]
    rates: Sequence[float] = ()

    @property
    def slope(self) -> float:
        """Of ln seconds over ln size, between the ends: 1 where twice the size takes twice as long."""
        return math.log(self.seconds[-1] / self.seconds[0]) / math.log(self.sizes[-1] / self.sizes[0])


def measure(device: torch.device = CPU) -> Section:
    """What more frames, clips at once, pixels and clients cost, none of it more than in proportion."""
    curves = [*of_the_model(served(device)[works.MODEL]), *of_pixels(device), of_clients()]
    draw(curves, PLOT)
    return section(curves)


def section(curves: Sequence[Curve]) -> Section:
    """Curves as rows, with what the largest took, and the bound on each."""
    rows = {
        curve.what: {
            "from": curve.sizes[0],
            "to": curve.sizes[-1],
            "s at first": curve.seconds[0],
            "s at last": curve.seconds[-1],
            "slope": curve.slope,
        }
        for curve in curves
    }
    verdicts = [at_most(f"{curve.what}: slope", curve.slope, WORST) for curve in curves]
    return Section(rows, "s at last", verdicts, {"curves": [asdict(curve) for curve in curves]})


@torch.inference_mode()
def of_the_model(model: RWAE) -> list[Curve]:
    """Longer clips, one at a time, and more clips at once."""
    device, generator = next(model.parameters()).device, torch.Generator().manual_seed(0)

    def curve(what: str, unit: str, sizes: Sequence[int], compute: Callable[[int], object]) -> Curve:
        told = tqdm(sizes, desc=what, file=sys.stderr)
        return Curve(what, unit, sizes, [min(times(partial(compute, size), device)) for size in told])

    long = model.generate(1, max(FRAMES), generator)
    many = model.generate(1, FRAMES_EACH, generator).expand(max(CLIPS), -1, -1, -1, -1)
    return [
        curve("/generate of T frames", "frames", FRAMES, lambda frames: model.generate(1, frames, generator)),
        curve("/encode of T frames", "frames", FRAMES, lambda frames: model.encode(long[:, :frames])),
        curve("/swap of B pairs at once", "pairs", CLIPS, lambda clips: model.swap(many[:clips], many[:clips])),
    ]


@torch.inference_mode()
def of_pixels(device: torch.device) -> list[Curve]:
    """Larger clips, through untrained networks of the same widths and one layer more."""
    curves = []
    for name in WIDTHS:
        config = preset.load(name).model
        assert isinstance(config, ModelConfig)  # noqa: S101  these presets are
        seconds = []
        for size in tqdm(SIZES, desc=f"{name}, pixels", file=sys.stderr):
            model = RWAE(resized(config, size)).to(device).eval()
            clip = torch.rand(1, config.frames, *model.config.frame_shape, device=device)
            seconds.append(min(times(partial(model.swap, clip, clip), device)))
        pixels = [size**2 for size in SIZES]
        curves.append(Curve(f"/swap of larger clips, widths of {name}", "pixels", pixels, seconds))
    return curves


def resized(config: ModelConfig, size: int) -> ModelConfig:
    """The model for larger frames: with the last width of its decoder once more for each time that the size doubles.

    So has its encoder where it sees whole frames; one that sees them averaged down sees as little as before.
    """
    networks = config.frame_networks
    assert isinstance(networks, SimpleFrames)  # noqa: S101  S networks are what this is about
    more = (size // networks.size).bit_length() - 1
    whole = len(networks.encoder_widths) == len(networks.decoder_widths)
    fields = networks.model_dump() | {
        "size": size,
        "encoder_widths": networks.encoder_widths + networks.encoder_widths[-1:] * more * whole,
        "decoder_widths": networks.decoder_widths + networks.decoder_widths[-1:] * more,
    }
    return config.model_copy(update={"frame_networks": SimpleFrames.model_validate(fields)})


def of_clients() -> Curve:
    """More clients that ask the service for 8 frames as soon as they are answered; its queue takes all of them."""
    server, loader = hosts.two_cores()
    asked = works.requests("generate", [b""] * works.CLIPS)
    seconds, rates = [], []
    with hosts.ours(server, RWAE_QUEUE_SIZE=str(2 * max(CLIENTS))) as ours, hosts.pinned(loader):
        for clients in tqdm(CLIENTS, desc="clients", file=sys.stderr):
            done = asyncio.run(load.closed(ours.port, asked, clients, WARM_UP_S + CLIENTS_S))
            if set(done.statuses) != {200}:
                raise RuntimeError(f"{clients} clients: not all answers are 200 but {done.statuses}")
            late = [outcome.took_ms for outcome in done.outcomes if outcome.done >= WARM_UP_S]
            seconds.append(statistics.median(late) / 1000)
            rates.append(done.rate(WARM_UP_S, WARM_UP_S + CLIENTS_S))
    return Curve("/generate for C clients over HTTP, the median", "clients", CLIENTS, seconds, rates)


def draw(curves: Sequence[Curve], path: Path) -> None:
    """A panel a unit, with logarithmic axes, beside what is in proportion; and requests a second."""
    mpl.use("Agg")
    mpl.rcParams.update({"svg.hashsalt": "rwae", "svg.fonttype": "none", "xtick.minor.size": 0, "ytick.minor.size": 0})
    units = dict.fromkeys(curve.unit for curve in curves)
    rows = math.ceil(len(units) / 2)
    figure, panels = plt.subplots(rows, 2, figsize=(11, 3.6 * rows), layout="constrained", squeeze=False)
    for axes, unit in zip(panels.flat, units, strict=False):
        shown = [curve for curve in curves if curve.unit == unit]
        for curve in shown:
            (line,) = axes.loglog(curve.sizes, curve.seconds, "o-", ms=3, label=f"{curve.what}: {curve.slope:.2f}")
            even = [curve.seconds[0] * size / curve.sizes[0] for size in curve.sizes]
            axes.loglog(curve.sizes, even, ":", color=line.get_color(), lw=1)
            for size, took, rate in zip(curve.sizes, curve.seconds, curve.rates, strict=False):
                axes.annotate(f"{rate:.0f}/s", (size, took), textcoords="offset points", xytext=(6, -8), fontsize=8)
        axes.set_xticks(shown[0].sizes, [f"{size:,}" for size in shown[0].sizes], fontsize=8)
        axes.set_xticks([], minor=True)
        axes.set(xlabel=unit, ylabel="seconds")
        axes.legend(fontsize=8, loc="upper left", title="slope; dotted: in proportion", title_fontsize=8)
        axes.grid(alpha=0.3)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    path.write_text("\n".join(line.rstrip() for line in path.read_text().splitlines()) + "\n")
    plt.close(figure)
