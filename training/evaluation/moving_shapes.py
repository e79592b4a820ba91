"""Moving shapes: Table 9, over all 30 static and all 12 dynamic classes."""

from __future__ import annotations

from pathlib import Path

import torch

from training.datasets.moving_shapes import COLOURS, DYNAMICS, SHAPES, SIZES, MovingShapes
from training.evaluation.autoencoding import probe
from training.evaluation.findings import Evaluation, Section, over_repeats
from training.evaluation.judge import Recipe, load_judge
from training.evaluation.protocols import accuracies, bench, swap_errors
from training.evaluation.request import Request
from training.sequence_model import SequenceModel

RECIPE = Recipe(
    {
        "shape": len(SHAPES),
        "size": len(SIZES),
        "colour": len(COLOURS),
        "dynamic": DYNAMICS,
    },
    required=99.0,
    steps=3000,
    batch=24,
    widths=(8, 16, 32, 64),
    differences=True,
    joint={"static": ("shape", "size", "colour")},
)
"""The 30 static classes as products, for one factor after the other is learned much sooner. Not so the 12 dynamic ones:
each is a share of time in each of eight headings, which a sum tells apart, while zig-zag as such is not."""
QUICK = 300

_KEPT = "One code kept, the other from its prior: static with z^c kept, dynamic with z^m kept; accuracy %"
_SWAP = "Swap: z^c of clip A with z^m of clip B; error of A's static and B's dynamic class %"


def evaluate(model: SequenceModel, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """Accuracies of what is kept and errors of the swap, over repeats, on the 2,160 test clips of 16 frames.

    Raises:
        ValueError: the judge may not judge.
    """
    training, test = (MovingShapes(data_folder, split, device) for split in ("train", "test"))
    judge, right = load_judge("moving-shapes", RECIPE, training, {"": test})
    chosen = request.clips(len(test), quick=QUICK)
    table, reconstruction = bench(model, judge, test, chosen, request=request, passes=3 * request.repeats)
    labels = table.labels()
    kept, swapped = [], []
    for generator in request.generators():
        static = accuracies(table.kept_content(generator), labels)["static"]
        kept.append({"static": static, "dynamic": accuracies(table.kept_motion(generator), labels)["dynamic"]})
        wrong = swap_errors(table, generator, motion=("dynamic",))
        swapped.append({name: wrong[name] for name in ("static", "dynamic")})
    note = f"{len(chosen)} clips of {test.frames} frames."
    sections = [
        reconstruction,
        Section("kept", _KEPT, over_repeats(kept), table=9, note=note),
        Section("swap", _SWAP, over_repeats(swapped), note=note),
    ]
    if request.wants():
        sections.append(probe(model, training, test, request, ("shape", "size", "colour", "motion", "direction")))
    return Evaluation(
        request.model, request.method, "moving-shapes", len(chosen), request.seed, request.repeats, right,
        tuple(section for section in sections if request.wants(section.table)),
    )  # fmt: skip
