"""Judges runs and weights by the Sprites protocols, on the 296 test characters, side by side with what others print.

Prints Markdown; writes `evaluation.json`, `evaluation.md` and the pictures `swap.png` and `swap.gif` (Fig. 2)
into the run's folder, or into the folder of --out.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rwae_core.errors import WeightsError
from rwae_core.media.encode import encode_video
from rwae_core.model import RWAE
from training import printed, protocols
from training.checkpoint import load_model
from training.datasets.errors import DataError
from training.datasets.sprites import Sprites
from training.figure import moving, still, swap_table
from training.judge import REQUIRED_ACCURACY, load_judge
from training.memory import keep_freed_memory

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rwae"

PROTOCOLS = {
    "protocol_1": "1. Paper, Tables 2 and 4: one code kept, the other from its prior; error %",
    "swap": "2. Swap: z^c of clip A with z^m of clip B; error %",
    "protocol_3": "3. Field's: z^m kept, z^c from its prior; accuracy %, scores in nats",
}


def evaluate(folder: Path, data: Path, *, device: torch.device, seed: int, repeats: int) -> dict[str, Any]:
    """All figures of a model on the test characters: each a mean and a standard deviation over repeats.

    Repeat r draws with seed + r. The reconstruction draws nothing and has no spread.

    Raises:
        DataError: the dataset is missing or incomplete.
        ValueError: the judge is not right often enough on real test clips to judge, or the model cannot be judged.
    """
    model, test = load_autoencoder(folder, device), Sprites(data, "test", device)
    judge = load_judge(data, CACHE, device)
    accuracy = protocols.judge_accuracy(judge, test)
    if min(accuracy.values()) < 100 * REQUIRED_ACCURACY:
        raise ValueError(f"the judge may not judge: on real test clips it is right in {accuracy} %")
    codes, reconstruction = protocols.encode_all(model, test)

    drawn: dict[str, list[dict[str, float]]] = {name: [] for name in PROTOCOLS}
    for repeat in range(repeats):
        generator = torch.Generator().manual_seed(seed + repeat)
        action_error, field = protocols.kept_motion(model, judge, test, codes, generator)
        attribute_errors, reverse = protocols.kept_content(model, judge, test, codes, generator)
        drawn["protocol_1"].append(action_error | attribute_errors)
        drawn["swap"].append(protocols.swap(model, judge, test, codes, generator))
        drawn["protocol_3"].append(field | reverse)
    return {
        "model": folder.resolve().name,
        "clips": len(test),
        "seed": seed,
        "repeats": repeats,
        "judge_accuracy": accuracy,
        "reconstruction": reconstruction,
        **{name: {key: _spread([d[key] for d in draws]) for key in draws[0]} for name, draws in drawn.items()},
    }


def load_autoencoder(folder: Path, device: torch.device) -> RWAE:
    """The model of a run or of weights.

    Raises:
        ValueError: it does not encode clips, which the Sprites protocols start from.
    """
    model = load_model(folder, device)
    if not isinstance(model, RWAE):
        raise ValueError(f"{folder} holds {type(model).__name__}, which does not encode video; R-WAE and DS-VAE do")
    return model


def markdown(models: Sequence[dict[str, Any]]) -> str:
    """The figures as tables, a row a model and below them what others print, with protocol, clips, seed and spread."""
    first = models[0]
    judge = ", ".join(f"{name} {value:.2f}" for name, value in first["judge_accuracy"].items())
    names = ", ".join(model["model"] for model in models)
    lines = [
        f"## {names} on {first['clips']} Sprites clips of characters never seen in training",
        "",
        f"Mean ± standard deviation over {first['repeats']} repeats, seeds from {first['seed']}. "
        f"Judge on the real clips, accuracy %: {judge}.",
        "",
        "**Reconstruction and information**",
        "",
        "| | dB | squared error | z^c, nats | z^m, nats |",
        "|---|---|---|---|---|",
    ]
    for model in models:
        found = model["reconstruction"]
        nats = f"{found['content_nats']:.1f} | {found['motion_nats']:.1f}"
        lines.append(f"| {model['model']} | {found['psnr_db']:.2f} | {found['squared_error']:.1f} | {nats} |")
    for name, title in PROTOCOLS.items():
        columns = list(first[name])
        lines += ["", f"**{title}**", "", f"| | {' | '.join(columns)} |", "|---" * (1 + len(columns)) + "|"]
        for model in models:
            cells = [f"{model[name][column]['mean']:.3f} ± {model[name][column]['std']:.3f}" for column in columns]
            lines.append(f"| {model['model']} | {' | '.join(cells)} |")
        for method, figures in printed.SPRITES.get(name, {}).items():
            cells = [f"{figures[column]:g}" if column in figures else "" for column in columns]
            lines.append(f"| *{method}, as printed* | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _spread(values: list[float]) -> dict[str, float]:
    return {"mean": statistics.fmean(values), "std": statistics.stdev(values) if len(values) > 1 else 0.0}


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.evaluate weights/sprites --out /tmp/evaluation",
    )
    parser.add_argument("models", nargs="+", type=Path, help="folders of runs or of weights")
    parser.add_argument("--data", type=Path, default=Path("../shared/data/sprites"), help="default: %(default)s")
    parser.add_argument("--out", type=Path, help="where files go; default: the run's folder, nothing for weights")
    parser.add_argument("--device", help="default: cuda where there is one")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--repeats", type=int, default=5, help="default: 5")
    given = parser.parse_args(arguments)
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    keep_freed_memory()
    models, failed = [], False
    for folder in given.models:
        try:
            figures = evaluate(folder, given.data, device=device, seed=given.seed, repeats=given.repeats)
        except (DataError, WeightsError, OSError, ValueError) as error:
            print(f"error: {error}", file=sys.stderr)
            failed = True
            continue
        models.append(figures)
        is_run = not (folder / "config.json").exists()
        out = given.out / folder.resolve().name if given.out else folder if is_run else None
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            (out / "evaluation.json").write_text(json.dumps(figures, indent=2) + "\n")
            (out / "evaluation.md").write_text(markdown([figures]))
            test = Sprites(given.data, "test", device)
            generator = torch.Generator().manual_seed(given.seed)
            table = swap_table(load_autoencoder(folder, device), test, 4, 5, generator)
            (out / "swap.png").write_bytes(encode_video(still(table), 1, "png"))
            (out / "swap.gif").write_bytes(encode_video(moving(table), Sprites.fps, "gif", scale=2))
            print(f"written: {out}/evaluation.json, evaluation.md, swap.png and swap.gif", file=sys.stderr)
    if models:
        print(markdown(models))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
