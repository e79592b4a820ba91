"""SM-MNIST: the digit column of Table 2, of clips as short as in the paper and of T = 100."""

from __future__ import annotations

from pathlib import Path

import torch

from training.datasets.sm_mnist import SMMNIST
from training.evaluation.autoencoding import probe
from training.evaluation.findings import Evaluation, Section, over_repeats
from training.evaluation.judge import Recipe, load_judge
from training.evaluation.metrics import inception
from training.evaluation.protocols import Bench, bench, errors, swap_errors
from training.evaluation.request import Request
from training.sequence_model import SequenceModel

RECIPE = Recipe({"digit": 10}, required=99.0, steps=5000, batch=128, rate=2e-3, channels=1)
TRAINED_ON, SHORT, LONG = 2, 10, 100
"""Frames of the clips that the judge learns from (each frame is a picture of its own), and of those that it judges."""
LONG_CLIPS, QUICK, QUICK_LONG = 2000, 300, 40

_TITLE = "z^c kept, z^m from its prior, T = {frames}; error of the digit %, scores in nats"
_KEPT = {
    SHORT: "As in Table 2: z^c of a clip of 10 frames.",
    LONG: "z^c of a clip of 100 frames, with 100 steps of the prior.",
}


def evaluate(model: SequenceModel, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """Errors of the digit over repeats, on the 10,000 test digits at T = 10 and on 2,000 of them at T = 100.

    At T = 100 the clip that z^c is kept of has 100 frames, too, as in Fig. 2. IS, H(y|x) and H(y) of the judge's 10-way
    softmax stand beside the error: a blurred digit shows in them first. There is no class of motion to be judged by.

    Raises:
        DataError: the dataset is missing or incomplete.
        ValueError: the judge may not judge.
    """
    training = SMMNIST(data_folder, "train", device, frames=TRAINED_ON)
    short, long = (SMMNIST(data_folder, "test", device, frames=frames) for frames in (SHORT, LONG))
    judge, right = load_judge("sm-mnist", RECIPE, training, {"": short, " at T = 100": long})
    chosen = request.clips(len(short), quick=QUICK)
    table, reconstruction = bench(model, judge, short, chosen, request=request, passes=2 * request.repeats)
    sections = [reconstruction, _kept_content("kept_content", table, request)]
    swapped = [swap_errors(table, generator, motion=()) for generator in request.generators()]
    title = "Swap: z^c of clip A with z^m of clip B; error of A's digit %"
    sections.append(Section("swap", title, over_repeats(swapped), note=f"{len(chosen)} clips of {SHORT} frames."))
    long_chosen = request.clips(len(long), most=LONG_CLIPS, quick=QUICK_LONG)
    long_table, _ = bench(model, judge, long, long_chosen, request=request, passes=request.repeats)
    sections.append(_kept_content("kept_content_long", long_table, request))
    if request.wants():
        training = SMMNIST(data_folder, "train", device, frames=SHORT)
        sections.append(probe(model, training, short, request, ("digit",)))
    return Evaluation(
        request.model, request.method, "sm-mnist", len(chosen), request.seed, request.repeats, right,
        tuple(section for section in sections if request.wants(section.table)),
    )  # fmt: skip


def _kept_content(name: str, table: Bench, request: Request) -> Section:
    drawn, labels = [], table.labels()
    for generator in request.generators():
        verdict = table.kept_content(generator)
        drawn.append(errors(verdict, labels) | inception(verdict["digit"]))
    frames = table.data.frames
    note = f"{_KEPT[frames]} {len(table.chosen)} clips."
    return Section(name, _TITLE.format(frames=frames), over_repeats(drawn), table=2, note=note)
