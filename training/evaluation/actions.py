"""Human actions and MUG: Table 3, clips generated with a sampled action.

Shapes: N clips, T = 10 frames, A actions of the model, K classes of the data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from rwae_core.latents import Latents
from training.datasets import Dataset
from training.datasets.human_actions import ACTIONS, PEOPLE, HumanActions
from training.datasets.mug import EXPRESSIONS, MUG
from training.evaluation.autoencoding import encode_all, encodes, probe
from training.evaluation.findings import Evaluation, Section, over_repeats, without_spread
from training.evaluation.judge import Judge, Recipe, in_batches, load_judge
from training.evaluation.metrics import fid, inception, match
from training.evaluation.protocols import (
    Bench,
    accuracies,
    bench,
    judged,
    say_how_long,
    swap_errors,
    take,
)
from training.evaluation.request import Request, some
from training.sequence_model import SequenceModel

FRAMES = 10
GENERATED, QUICK = 1000, 200
MATCHED_ON = 100
"""Clips a category that MoCoGAN's categories are named on."""
HUMAN_ACTIONS = Recipe({"action": len(ACTIONS)}, required=95.0, steps=300, batch=24, warps=True, differences=True)
PERSON = Recipe({"person": PEOPLE}, required=95.0, steps=400, batch=24, crop=32)
"""Clothes are who it is, so they are not recoloured; whoever is held out bending was never seen from the side."""
EXPRESSION = Recipe({"expression": len(EXPRESSIONS)}, required=95.0, steps=600, batch=24, warps=True, differences=True)

_ENTROPIES = "accuracy and inferred action %, entropies in nats"
_FEATURES = "FID on the 256 features a frame of this judge's encoder, against the real test clips"


def human_actions(model: SequenceModel, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """Table 3 on the human actions, which stand in for MUG; see `evaluate`."""
    training, test = (HumanActions(data_folder, split, device, frames=FRAMES) for split in ("train", "test"))
    return evaluate(
        model,
        name="human-actions",
        recipe=HUMAN_ACTIONS,
        training=training,
        test=test,
        request=request,
        person=PERSON,
    )


def mug(model: SequenceModel, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """Table 3 on MUG; see `evaluate`."""
    training, test = (MUG(data_folder, split, device, frames=FRAMES) for split in ("train", "test"))
    return evaluate(model, name="mug", recipe=EXPRESSION, training=training, test=test, request=request)


def evaluate(
    model: SequenceModel,
    *,
    name: str,
    recipe: Recipe,
    training: Dataset,
    test: Dataset,
    request: Request,
    person: Recipe | None = None,
) -> Evaluation:
    """Generated clips judged over repeats, and for models that encode the swap, reconstruction and probes.

    A model without action variable (DS-VAE(NA)) keeps E[z^m] of a test clip and draws z^c: its label is that clip's.
    One with an action draws everything: its label is the class that its action is matched to. A model that encodes
    infers actions of training clips, which are matched to their classes; MoCoGAN, which cannot, has its actions matched
    to what the judge, who learned from training clips, says of other clips generated with each. With a recipe for a
    judge of who it is, swaps between different people are judged by both, if that one may judge.

    Raises:
        ValueError: the judge may not judge, or the model has neither encoder nor action.
    """
    judge, right = load_judge(name, recipe, training, {"": test})
    (factor,) = recipe.classes
    count = QUICK if request.quick else GENERATED
    chosen = some(len(test), count).to(test.device)
    sections, table, names = [], None, None
    if encodes(model):
        table, reconstruction = bench(model, judge, test, chosen, request=request, passes=2 * request.repeats)
        sections.append(reconstruction)
    actions = _actions(model)
    if actions:
        names = _names(model, judge, training, recipe, request)
    elif table is None:
        raise ValueError(f"{request.model} has neither encoder nor action: nobody knows what its clips should show")
    if not request.quick:
        _say_how_long(model, judge, count, request)
    real = _features(judge, (test.clips(indices) for indices in in_batches(chosen, FRAMES)))
    generated, swapped = [], []
    for generator in request.generators():
        codes, labels = _draw(model, count, generator, table=table, names=names, factor=factor)
        verdict = judged(model, judge, _batches(codes), "generate")
        figures = {"accuracy": accuracies(verdict, {factor: labels})[factor], **inception(verdict[factor])}
        with torch.no_grad():
            drawn = _features(judge, (model.decode(batch) for batch in _batches(codes)))
        generated.append({**figures, "fid": fid(drawn, real)})
        if table is not None:
            swapped.append({factor: swap_errors(table, generator, motion=(factor,))[factor]})
    how = "with the action sampled" if actions else "with z^m of a test clip kept and z^c drawn"
    note = f"{count} clips of {FRAMES} frames {how}; {_FEATURES} ({len(chosen)} clips)."
    if names is not None:
        source = "inferred actions of training clips" if table is not None else "the judge's verdict on generated clips"
        note += f" Actions are matched to classes by {source}."
    sections.insert(0, Section("generation", f"Generated clips; {_ENTROPIES}", over_repeats(generated), 3, note))
    if table is not None:
        title = f"Swap: z^c of clip A with z^m and action of clip B; error of B's {factor} %"
        sections.append(Section("swap", title, over_repeats(swapped), note=f"{len(chosen)} clips."))
        if person is not None and request.wants():
            sections += _people(table, name, person, training, test, request=request, factor=factor)
        if names is not None and table.codes.action is not None:
            found = 100 * (names[table.codes.action.argmax(1)] == table.labels()[factor]).double().mean().item()
            title = f"The action inferred of test clips; accuracy %, chance {100 / recipe.classes[factor]:.1f}"
            sections.append(Section("inferred", title, without_spread({factor: found})))
        if request.wants():
            sections.append(probe(model, training, test, request, tuple(test.labels(chosen[:1]))))
    return Evaluation(
        request.model, request.method, name, len(chosen), request.seed, request.repeats, right,
        tuple(section for section in sections if request.wants(section.table)),
    )  # fmt: skip


def _people(
    table: Bench, name: str, recipe: Recipe, training: Dataset, test: Dataset, *, request: Request, factor: str
) -> list[Section]:
    """Swaps between different people, the same pairs judged by the judge of the action and by one of the person."""
    (person,) = recipe.classes
    try:
        judge, right = load_judge(f"{name}-{person}", recipe, training, {"": test})
    except ValueError as error:
        print(f"swaps between different people are left out: {error}", file=sys.stderr)
        return []
    wrong = []
    for generator, again in zip(request.generators(), request.generators(), strict=True):
        found = swap_errors(table, generator, motion=(factor,), apart=person)
        wrong.append(found | swap_errors(replace(table, judge=judge), again, motion=(factor,), apart=person))
    note = f"{len(table.chosen)} clips; the judge of the {person} is right in {right[person]:.1f}% of real test clips."
    title = f"Swap between different people: error of B's {factor} %, of A's {person} %"
    return [Section("swap_people", title, over_repeats(wrong), note=note)]


@torch.no_grad()
def _draw(
    model: SequenceModel,
    count: int,
    generator: torch.Generator,
    *,
    table: Bench | None,
    names: Int[Tensor, " A"] | None,
    factor: str,
) -> tuple[Latents, Int[Tensor, " N"]]:
    """Codes of new clips and what they should show: their action's class, or that of the clip whose z^m they keep."""
    if names is not None:
        codes = model.sample(count, FRAMES, generator)
        if codes.action is not None:
            return codes, names[codes.action.argmax(1)]
    if table is None:
        raise ValueError("clips without an action need others to keep the motion of")
    rows = torch.randint(len(table.chosen), (count,), generator=generator).to(table.chosen.device)
    codes = model.sample(count, FRAMES, generator, z_m=table.codes.z_m[rows])
    return codes, table.labels()[factor][rows]


@torch.no_grad()
def _names(
    model: SequenceModel, judge: Judge, training: Dataset, recipe: Recipe, request: Request
) -> Int[Tensor, " A"]:
    """The class of each action, by the Hungarian method on training clips or, without an encoder, on generated ones."""
    ((factor, classes),) = recipe.classes.items()
    actions = _actions(model)
    if encodes(model):
        chosen = some(len(training), QUICK if request.quick else GENERATED).to(training.device)
        inferred = encode_all(model, training, chosen)[0].action
        if inferred is None:
            raise ValueError(f"{request.model} samples an action and infers none")
        return match(inferred.argmax(1), training.labels(chosen)[factor], actions, classes)
    # Apart from those that are judged, whose seeds begin at the request's.
    generator = torch.Generator().manual_seed(request.seed + 1_000_000)
    drawn = model.sample(actions * MATCHED_ON, FRAMES, generator)
    found = torch.arange(actions, device=drawn.z_c.device).repeat_interleave(MATCHED_ON)
    codes = Latents(drawn.z_c, drawn.z_m, functional.one_hot(found, actions).to(drawn.z_c))
    verdict = judged(model, judge, _batches(codes), "name actions")[factor]
    return match(found, verdict.argmax(1), actions, classes)


def _actions(model: SequenceModel) -> int:
    """How many actions a model draws one of; 0 without an action variable."""
    drawn = model.sample(1, 1, torch.Generator().manual_seed(0)).action
    return 0 if drawn is None else drawn.shape[1]


def _batches(codes: Latents) -> Iterator[Latents]:
    rows = torch.arange(len(codes.z_c), device=codes.z_c.device)
    yield from (take(codes, batch) for batch in in_batches(rows, FRAMES))


@torch.no_grad()
def _features(judge: Judge, clips: Iterator[Float[Tensor, "B T C H W"]]) -> Float[Tensor, "F 256"]:
    """Of every frame, what the judge's encoder sees in it."""
    return torch.cat([judge.frame_features(batch) for batch in tqdm(clips, desc="frame features", leave=False)])


@torch.no_grad()
def _say_how_long(model: SequenceModel, judge: Judge, count: int, request: Request) -> None:
    batch = next(_batches(model.sample(count, FRAMES, torch.Generator().manual_seed(0))))
    started = time.perf_counter()
    clips = model.decode(batch)
    judge(clips), judge.frame_features(clips)
    seconds = (time.perf_counter() - started) * count / len(batch.z_c)
    what = f"{count} generated clips of {FRAMES} frames, judged {request.repeats} times"
    say_how_long(request, what, 2 * request.repeats * seconds)
