"""Judges runs and weights by the protocols of their datasets, side by side with what others print.

Prints tables as Markdown. Writes `evaluation.json`, `evaluation.md` and the pictures of each model into its run's
folder or, where --out is given, into a folder of the model's name there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rwae_core.errors import ShapeError, UnsupportedError, WeightsError
from rwae_core.memory import keep_freed_memory
from rwae_core.weights import CONFIG_FILE, read_config
from training import checkpoint
from training.baselines.ds_vae import DSVAE
from training.baselines.fhvae import FHVAE
from training.baselines.mocogan import MoCoGAN
from training.datasets.catalogue import DATASETS, Name
from training.datasets.errors import DataError
from training.evaluation import (
    actions,
    autoencoding,
    figures,
    moving_shapes,
    page,
    plots,
    show,
    sm_mnist,
    speech,
    sprites,
)
from training.evaluation.findings import Evaluation, Picture
from training.evaluation.request import Request
from training.methods import Model

# What is said of speech is said of models that encode; the datasets' presets name no others.
Protocol = Callable[[Any, Path, Request, torch.device], Evaluation]

PROTOCOLS: dict[Name, Protocol] = {
    "sprites": sprites.evaluate,
    "sm-mnist": sm_mnist.evaluate,
    "moving-shapes": moving_shapes.evaluate,
    "human-actions": actions.human_actions,
    "mug": actions.mug,
    "folder": autoencoding.evaluate,
    "librispeech": speech.librispeech,
    "timit": speech.timit,
}
SPOKEN: tuple[Name, ...] = ("librispeech", "timit")
REPEATS = 5
EXAMPLES = """\
examples:
  python -m training.evaluate weights/* --quick --html report.html
  python -m training.evaluate runs/sprites runs/sprites-mmd-s --data ../shared/data
  python -m training.evaluate runs/sm-mnist-mmd-s --table 2
  python -m training.evaluate runs/human-actions-* --figure 3 --out /tmp/figures
  python -m training.evaluate weights/mine --data ~/clips"""


@dataclass(frozen=True)
class Found:
    """A model, where it lies, what it was trained on and by which method."""

    folder: Path
    model: Model
    dataset: Name
    method: str

    @property
    def log(self) -> Path | None:
        """What its training wrote down, where it is a run."""
        path = self.folder / "log.jsonl"
        return path if path.is_file() else None


def find(folder: Path, device: torch.device) -> Found:
    """The model of a run or of weights.

    Raises:
        FileNotFoundError: the folder is neither.
        WeightsError: the weights are damaged.
        ValueError: nothing says which dataset it was trained on.
    """
    model = checkpoint.load_model(folder, device)
    if (folder / CONFIG_FILE).exists():
        dataset: str = read_config(folder).dataset
    else:
        state = checkpoint.load(folder)
        dataset = state["run"]["preset"]["dataset"] if state else ""
    known = next((name for name in DATASETS if name == dataset), None)
    if known is None:
        raise ValueError(
            f'{folder / CONFIG_FILE} has "dataset": "{dataset}", so there is no telling what to judge the model on; '
            f"make it one of {', '.join(DATASETS)}"
        )
    return Found(folder, model, known, _method(model))


def evaluate(
    found: Found, root: Path, request: Request, device: torch.device, *, figure: int | None = None
) -> Evaluation:
    """All that is asked about one model: its sections and pictures, or pictures of one figure or sections of one table.

    Raises:
        DataError: its dataset is missing or incomplete; the message says what to fetch.
        ValueError: the judge may not judge, or the model cannot be judged.
    """
    folder = data_folder(root, found.dataset)
    if figure is None:
        result = PROTOCOLS[found.dataset](found.model, folder, request, device)
    else:
        result = Evaluation(request.model, request.method, found.dataset, 0, request.seed, request.repeats, {}, ())
    drawn: list[Picture] = []
    if request.table is None:
        if found.dataset in SPOKEN and not isinstance(found.model, MoCoGAN):
            drawn = speech.draw(found.model, found.dataset, folder, request, device, figure=figure)
        elif len(found.model.config.frame_shape) == 3:
            drawn = figures.draw(found.model, found.dataset, folder, request, device, figure=figure)
        if found.log is not None and figure is None:
            caption = f"Training of {request.model}: every term of its objective."
            drawn.append(plots.training_curves(found.log, name="training", caption=caption))
    return replace(result, pictures=tuple(drawn))


def data_folder(root: Path, dataset: Name) -> Path:
    """Where a dataset lies: in its own folder where all lie side by side, or in what was given itself."""
    name = DATASETS[dataset].source.folder
    return root / name if name and (root / name).is_dir() else root


def measured_before(path: Path) -> list[Evaluation]:
    """What `--json` wrote, of models that need not be here.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is something else.
    """
    try:
        return [Evaluation.from_json(found) for found in json.loads(path.read_text())["models"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not what `--json` writes: leave it out, or write it again") from error


def write(evaluation: Evaluation, out: Path) -> None:
    """Writes the figures, where there are any, as JSON and Markdown, and the pictures as files.

    Raises:
        OSError: the folder cannot be written.
    """
    out.mkdir(parents=True, exist_ok=True)
    if evaluation.sections:
        (out / "evaluation.json").write_text(json.dumps(evaluation.as_json(), indent=2) + "\n")
        (out / "evaluation.md").write_text(show.markdown(show.tables([evaluation])))
    for picture in evaluation.pictures:
        (out / picture.file).write_bytes(picture.data)
    names = ["evaluation.json", "evaluation.md"] if evaluation.sections else []
    print(f"written to {out}: {', '.join([*names, *(p.file for p in evaluation.pictures)])}", file=sys.stderr)


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code: 1 where a model could not be judged, though others were."""
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=EXAMPLES,
    )
    parser.add_argument(
        "models",
        nargs="+",
        type=Path,
        help="folders of runs or of weights, of any datasets, and files that --json wrote",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="holds a folder for each dataset, such as sprites, or is one dataset's own (default: %(default)s)",
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--table", type=int, help="only what is in this table of the paper: 1, 2, 3 or 9")
    only.add_argument("--figure", type=int, help="only this figure of the paper: 2, 3, 4, 5, 6, 11 or 12")
    parser.add_argument("--quick", action="store_true", help="one repeat, a few hundred clips")
    parser.add_argument("--html", type=Path, help="one page that holds everything, pictures and films too")
    parser.add_argument("--json", type=Path, help="the figures of all models in one file")
    parser.add_argument("--out", type=Path, help="where files go; default: a run's folder, nowhere for weights")
    parser.add_argument("--repeats", type=int, help=f"default: {REPEATS}, or 1 with --quick")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--device", help="default: cuda where there is one")
    given = parser.parse_args(arguments)
    if given.repeats is not None and given.repeats < 1:
        parser.error("--repeats is at least 1")
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    repeats = given.repeats or (1 if given.quick else REPEATS)
    keep_freed_memory()
    evaluations: list[Evaluation] = []
    others: list[Evaluation] = []
    failed = False
    for folder in given.models:
        try:
            if folder.is_file():
                others += measured_before(folder)
                continue
            found = find(folder, device)
            request = Request(folder.resolve().name, found.method, given.seed, repeats, given.quick, given.table)
            evaluation = evaluate(found, given.data, request, device, figure=given.figure)
            evaluations.append(evaluation)
            # What is beside a run goes into its card: all of it, not one table.
            beside = None if (folder / CONFIG_FILE).exists() or given.table is not None else folder
            if (out := given.out / request.model if given.out else beside) is not None:
                write(evaluation, out)
        except (DataError, ShapeError, UnsupportedError, WeightsError, OSError, ValueError) as error:
            print(f"error: {folder.name}: {error}", file=sys.stderr)
            failed = True
    if evaluations or others:
        tables = show.tables(evaluations, others)
        print(show.markdown(tables))
        if given.html:
            given.html.write_text(page.html("Evaluation", evaluations, tables))
        if given.json:
            given.json.write_text(json.dumps({"models": [each.as_json() for each in evaluations]}, indent=2) + "\n")
    return int(failed)


def _method(model: Model) -> str:
    if isinstance(model, DSVAE):
        return "DS-VAE"
    return "FHVAE" if isinstance(model, FHVAE) else "MoCoGAN" if isinstance(model, MoCoGAN) else "R-WAE"


if __name__ == "__main__":
    sys.exit(main())
