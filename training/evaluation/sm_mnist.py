"""SM-MNIST: the digit column of Table 2, of clips as short as in the paper and of T = 100."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from training.datasets.sm_mnist import DIGIT, SIDE, SMMNIST
from training.evaluation.autoencoding import probe
from training.evaluation.findings import Evaluation, Section, over_repeats
from training.evaluation.judge import Judge, Recipe, in_batches, load_judge
from training.evaluation.metrics import inception
from training.evaluation.protocols import Bench, bench, errors, swap_errors, take
from training.evaluation.request import Request
from training.sequence_model import SequenceModel

RECIPE = Recipe({"digit": 10}, required=99.0, steps=6000, batch=128, rate=2e-3, channels=1, crop=SIDE)
"""Whole frames, each on its own and wherever the digit is: a BiLSTM that learned from 2 frames was right on 99.2% of
clips of 10 and, by how a processor rounds, on 98.7 or 99.1% of those of 100."""
TRAINED_ON, SHORT, LONG = 2, 10, 100
"""Frames of the clips that the judge learns from (each frame is a picture of its own), and of those that it judges."""
LONG_CLIPS, QUICK, QUICK_LONG = 1000, 300, 40

_TITLE = "z^c kept, z^m from its prior, T = {frames}; error of the digit %, scores in nats"
_KEPT = {
    SHORT: "As in Table 2: z^c of a clip of 10 frames.",
    LONG: "z^c of a clip of 100 frames, with 100 steps of the prior.",
}


def evaluate(model: SequenceModel, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """Errors of the digit over repeats, on the 10,000 test digits at T = 10 and on 1,000 of them at T = 100.

    At T = 100 the clip that z^c is kept of has 100 frames, too, as in Fig. 2. IS, H(y|x) and H(y) of the judge's 10-way
    softmax stand beside the error: a blurred digit shows in them first. There is no class of motion to be judged by:
    of a swap `distance` says how far the digit is from where motion's is, in pixels. Of generated clips `identity` is
    how often the judge sees the same digit in their first 10 frames as in their last 10.

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
    swapped, distances = [], []
    for generator in request.generators():
        swapped.append(swap_errors(table, generator, motion=()))
        distances.append({"distance": _distance(table, short, generator)})
    title = "Swap: z^c of clip A with z^m of clip B; error of A's digit %"
    sections.append(Section("swap", title, over_repeats(swapped), note=f"{len(chosen)} clips of {SHORT} frames."))
    title = "The same: from where B's digit is to the swap's, in pixels"
    note = f"{min(len(chosen), LONG_CLIPS)} clips of {SHORT} frames."
    sections.append(Section("place", title, over_repeats(distances), note=note))
    long_chosen = request.clips(len(long), most=LONG_CLIPS, quick=QUICK_LONG)
    long_table, _ = bench(model, judge, long, long_chosen, request=request, passes=request.repeats)
    sections.append(_kept_content("kept_content_long", long_table, request))
    if request.wants():
        sections.append(_identity(model, judge, request))
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


@torch.no_grad()
def _distance(table: Bench, data: SMMNIST, generator: torch.Generator) -> float:
    """How far a swap's digit is from where motion's is, in pixels, the mean over frames and at most 1,000 clips.

    Of both it is the centre of mass that is compared, which in MNIST is the centre of a digit's 28×28 pixels.
    """
    count = min(len(table.chosen), LONG_CLIPS)
    partners = torch.randint(len(table.chosen), (count,), generator=generator).to(data.device)
    distances = []
    for rows in in_batches(torch.arange(count, device=data.device), data.frames):
        moved = take(table.codes, partners[rows])
        found = centres(table.model.decode(Latents(table.codes.z_c[rows], moved.z_m, moved.action)))
        there = data.positions(table.chosen[partners[rows]]) + DIGIT / 2
        distances.append((found - there).norm(dim=2))
    return torch.cat(distances).mean().item()


def centres(clips: Float[Tensor, "B T 1 64 64"]) -> Float[Tensor, "B T 2"]:
    """Centres of mass (x, y) in pixels from a frame's upper left edge; the middle of a black frame."""
    mass = clips[:, :, 0] + 1e-9
    places = torch.arange(mass.shape[-1], device=mass.device) + 0.5
    along = [(mass.sum(dim) * places).sum(2) for dim in (2, 3)]
    return torch.stack(along, 2) / mass.sum((2, 3))[..., None]


@torch.no_grad()
def _identity(model: SequenceModel, judge: Judge, request: Request) -> Section:
    """Whether generated digits stay who they are."""
    count, same = QUICK_LONG if request.quick else LONG_CLIPS, []
    for generator in request.generators():
        agreed = []
        for rows in tqdm(in_batches(torch.arange(count), LONG), desc="identity", leave=False):
            clips = model.decode(model.sample(len(rows), LONG, generator))
            first, last = (judge.verdict(part)["digit"] for part in (clips[:, :SHORT], clips[:, -SHORT:]))
            agreed.append(first == last)
        same.append({"identity": 100 * torch.cat(agreed).double().mean().item()})
    title = f"Both codes from their priors, T = {LONG}: the same digit in the first {SHORT} frames and the last; %"
    return Section("identity", title, over_repeats(same), note=f"{count} clips.")
