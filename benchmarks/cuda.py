"""What a GPU does, in one call: `python -m benchmarks.cuda`, or with the paper's whole schedule: `--data …/sprites`.

Iterations of training as one graph beside the same one kernel after the other, over the floor that this GPU's ceilings
set; the terms of both over 200 iterations; roll-outs of the prior. Batches are noise, whose iterations cost the same.
Writes `results/cuda.json`; the exit code is 1 where a bound does not hold, 2 where there is no GPU.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import cast

import torch

from benchmarks import agreement
from benchmarks.ceilings import ceilings
from benchmarks.clock import median_s
from benchmarks.machine import machine
from benchmarks.presets import iteration, work
from benchmarks.report import publish
from benchmarks.section import Section
from benchmarks.serving.verdict import Verdict, at_least, at_most
from rwae_core.config import ModelConfig
from rwae_core.model import RWAE
from rwae_core.replay import ReplayedPrior
from training import preset, train
from training.iteration import PLAIN, Iteration
from training.preset import Preset

SIMPLE, COMPLEX = "sprites-mmd-s", "sprites-mmd-c"
PRESETS = (SIMPLE, "sprites-gan-s", "sprites", COMPLEX)
CLIPS, STEPS = 64, 100
"""Of a roll-out."""
FLOORS, FASTER, OF_CEILING, SCHEDULE_MIN, ROLL_OUT_MS = 3.0, 5.0, 35.0, 20.0, 2.0
"""Most times the floor, least times the plain path, least % of the ceiling, minutes of the paper's schedule, ms."""


def ready(chosen: Preset, device: torch.device, *, recorded: bool) -> Iteration:
    """An iteration whose optimisers have their state and that is recorded, if it is to be."""
    one = iteration(chosen, device, recorded=recorded)
    for number in range(PLAIN + 1):
        one(number)
    return one


def measure(device: torch.device) -> Section:
    """Iterations over their floor and beside the plain path, and a roll-out."""
    rows: dict[str, dict[str, float]] = {}
    for name in PRESETS:
        float32 = preset.load(name)
        float32 = float32.model_copy(update={"bfloat16": False})
        bfloat16 = float32.model_copy(update={"bfloat16": True})
        ways = {"plain, s": (float32, False), "plain, bfloat16, s": (bfloat16, False), "s": (bfloat16, True)}
        row = {}
        for way, (chosen, recorded) in ways.items():
            one = ready(chosen, device, recorded=recorded)
            row[way] = median_s(lambda one=one: one(PLAIN + 1), device)  # type: ignore[misc]  # bound at once
            del one
        asked, ceiling = work(bfloat16), ceilings(device)
        flops, most = sum(asked.flops.values()), ceiling.peak(torch.bfloat16)
        row |= {
            "floor, s": ceiling.floor_s(asked),
            "× floor": row["s"] / ceiling.floor_s(asked),
            "× plain": row["plain, s"] / row["s"],
            "% of the ceiling": 100 * flops / row["s"] / most,
        }
        rows[name] = row
    schedule_min = preset.load(SIMPLE).schedule.iterations * rows[SIMPLE]["s"] / 60
    plain_ms, roll_out_ms = roll_outs_ms(device)
    rows |= {
        f"{SIMPLE}, whole schedule, min": {"s": schedule_min},
        f"roll-out of {STEPS} steps, {CLIPS} clips, ms": {"plain, s": plain_ms, "s": roll_out_ms},
    }
    verdicts = [
        at_most(f"{SIMPLE}, times its floor", rows[SIMPLE]["× floor"], FLOORS),
        at_least(f"{SIMPLE}, times the plain path", rows[SIMPLE]["× plain"], FASTER),
        at_least(f"{COMPLEX}, of the ceiling in bfloat16", rows[COMPLEX]["% of the ceiling"], OF_CEILING, "%"),
        at_most(f"{SIMPLE}, the paper's schedule", schedule_min, SCHEDULE_MIN, " min"),
        at_most("roll-out", roll_out_ms, ROLL_OUT_MS, " ms"),
        *agreeing(device),
    ]
    return Section(rows, "s", verdicts)


def agreeing(device: torch.device) -> list[Verdict]:
    """Whether the graph in bfloat16 and the plain path in float32 descend the same terms, in updates of everything."""
    chosen = preset.load(SIMPLE)
    at_once = chosen.schedule.model_copy(update={"inner_steps": 0})
    one = iteration(chosen.model_copy(update={"bfloat16": True, "schedule": at_once}), device)
    return agreement.agreement(*agreement.terms(one, agreement.ITERATIONS))


@torch.inference_mode()
def roll_outs_ms(device: torch.device) -> tuple[float, float]:
    """Milliseconds of a roll-out of the prior, one kernel after the other and replayed."""
    prior = RWAE(cast("ModelConfig", preset.load(SIMPLE).model)).to(device).prior
    noise = prior.noise(CLIPS, STEPS, None, torch.zeros(1, device=device))
    plain, replay = (
        median_s(lambda way=way: way.roll_out(noise, way.begin(noise)), device)  # type: ignore[misc]  # bound at once
        for way in (prior, ReplayedPrior(prior))
    )
    return 1000 * plain, 1000 * replay


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints and writes; then trains, where there is data and the time that it takes is short."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.cuda", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="Sprites, to run the paper's whole schedule on where it fits")
    parser.add_argument("--out", type=Path, default=Path("runs") / SIMPLE, help="of that run (default: %(default)s)")
    given = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("there is no GPU here; its figures stay unmeasured", file=sys.stderr)
        return 2
    device = torch.device("cuda")
    torch.backends.cudnn.benchmark = True  # shapes stay the same: the fastest algorithm is looked for once
    section = measure(device)
    print(publish("cuda", section, machine(device)), flush=True)
    minutes = section.rows[f"{SIMPLE}, whole schedule, min"]["s"]
    if given.data and minutes <= SCHEDULE_MIN:
        return train.main(["--preset", SIMPLE, "--data", str(given.data), "--out", str(given.out)])
    return 0 if section.holds else 1


if __name__ == "__main__":
    sys.exit(main())
