"""Makes a weights folder of a run: safetensors, configuration and model card.

Run `training.evaluate` on the run first: its figures go into the card.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rwae_core.model import RWAE
from rwae_core.weights import save_weights
from training.checkpoint import load, load_model
from training.evaluate import markdown
from training.preset import Preset

CARD = """# {name}

{about}.

Takes a clip of 64×64 pixels apart into a static code z^c ({content_dim} numbers: who) and a dynamic code z^m
({motion_dim} numbers a frame: what it does).

- **Data**: Sprites, 1000 characters × 9 actions × 8 frames (900 characters trained on, 100 held out for choosing, the
  296 others for the figures below), composed from the layers of the Liberated Pixel Cup as used by Li & Mandt 2018
  (github.com/YingzhenLi/Sprites). The art is by the Liberated Pixel Cup's artists, CC-BY-SA 3.0 and GPL 3.0.
- **Trained with** `python -m training.train --preset {preset} --data <sprites> --seed {seed} --out runs/{preset}`:
  {iterations} iterations of {batch} clips.
- **Precision**: stored as float16, the averaged weights of the run, computed in float32.

{figures}
## Limits

Motion rolled out of the recurrent prior starts blurred (its first step is one Gaussian for all views and moves), which
is what remains of the errors of protocol 1. One character on a black background is all it has seen: it turns any other
video into pixel people (`psnr_db` of `/encode` says how well it can say a clip back). Several objects, other
backgrounds, views or outfits, and details finer than the attributes above are outside of what it knows.
"""


def export(run: Path, weights: Path) -> None:
    """Writes the averaged model of a run and its card into a weights folder.

    Raises:
        FileNotFoundError: the run has no checkpoint, or was not evaluated.
        ValueError: the run is a baseline's.
    """
    state = load(run)
    if state is None:
        raise FileNotFoundError(f"{run} holds no run; train first")
    if not (run / "evaluation.json").exists():
        raise FileNotFoundError(f"{run} was not evaluated; run `python -m training.evaluate {run}` first")
    chosen = Preset.model_validate(state["run"]["preset"])
    model = load_model(run)
    if type(model) is not RWAE:
        raise ValueError(f"{run} is a run of {type(model).__name__}; only R-WAE is served")
    figures: dict[str, Any] = json.loads((run / "evaluation.json").read_text())
    swap = {f"swap_{name}_error": round(value["mean"], 3) for name, value in figures["swap"].items()}
    metrics = {"psnr_db": round(figures["reconstruction"]["psnr_db"], 2), **swap}
    save_weights(weights, model.half(), card=chosen.about, metrics=metrics)
    card = CARD.format(
        name=weights.name,
        about=chosen.about,
        content_dim=chosen.model.content_dim,
        motion_dim=chosen.model.motion_dim,
        preset=chosen.name,
        seed=state["run"]["seed"],
        iterations=state["iteration"],
        batch=chosen.schedule.batch,
        figures=markdown([figures]),
    )
    (weights / "README.md").write_text(card)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.export runs/sprites weights/sprites",
    )
    parser.add_argument("run", type=Path, help="folder of a run")
    parser.add_argument("weights", type=Path, help="folder to write; its name is the model's id")
    given = parser.parse_args(arguments)
    try:
        export(given.run, given.weights)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"written: {given.weights}; `make serve` serves it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
