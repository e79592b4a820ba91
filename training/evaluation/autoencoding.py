"""What all models that encode are asked: how well they say a clip back, and how much each code knows of it.

Shapes: N clips, T frames of any one shape, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training.baselines.mocogan import MoCoGAN
from training.datasets import Dataset
from training.datasets.catalogue import open_dataset
from training.datasets.errors import DataError
from training.evaluation import probes
from training.evaluation.findings import Evaluation, Section, without_spread
from training.evaluation.judge import in_batches
from training.evaluation.request import Request, some
from training.methods import Model
from training.sequence_model import SequenceModel

PROBED, PROBED_QUICK = 2000, 300


def encodes(model: SequenceModel) -> bool:
    """Whether a model has an encoder; MoCoGAN has none."""
    return not isinstance(model, MoCoGAN)


@torch.no_grad()
def encode_all(
    model: SequenceModel, data: Dataset, chosen: Int[Tensor, " N"], *, spectra: bool = False
) -> tuple[Latents, Section]:
    """Posterior means of clips; the reconstruction's squared error a clip, its PSNR, and the nats in each code.

    PSNR is the mean over clips of 10 log₁₀(1 / MSE), in dB. The nats are KL(q(z^c | x) ‖ p(z^c)) and
    Σ_t KL(q(z^m_t | z^m_{<t}, x) ‖ p(z^m_t | z^m_{<t})) a clip, for models with these two priors.
    """
    codes, errors, nats = [], [], []
    for indices in tqdm(in_batches(chosen.to(data.device), data.frames), desc="encode", leave=False):
        clip = data.clips(indices)
        if isinstance(model, RWAE):
            inference = model.infer(clip, sample=False)
            found = inference.latents
            motion = model.motion_prior(found.z_m, found.action).kl_of(inference.motion)
            content = model.content_prior(found.z_c).kl_of(inference.content)
            nats.append(torch.stack([content, motion.sum(1)], 1))
        else:
            found = model.encode(clip)
        codes.append(found)
        errors.append((model.decode(found) - clip).square().flatten(1))
    figures = {
        "psnr_db": torch.cat([-10 * e.mean(1).clamp(min=1e-12).log10() for e in errors]).mean().item(),
        "squared_error": torch.cat([e.sum(1) for e in errors]).mean().item(),
    }
    if nats:
        figures |= dict(zip(("content_nats", "motion_nats"), torch.cat(nats).mean(0).tolist(), strict=True))
    title = "Reconstruction and information: both codes encoded"
    note = f"{len(chosen)} {'windows' if spectra else 'clips'} of {data.frames} frames. Nothing is drawn."
    return join(codes), Section("reconstruction", title, without_spread(figures), note=note)


def probe(model: SequenceModel, training: Dataset, test: Dataset, request: Request, labels: tuple[str, ...]) -> Section:
    """How well a linear classifier, learned on codes of training clips, predicts labels of test clips."""
    learned, known = _labelled(model, training, request, labels)
    scored, true = _labelled(model, test, request, labels)
    figures = probes.accuracies(learned, known, scored, true, seed=request.seed)
    note = f"Learned on {len(learned.z_c)} training clips, scored on {len(scored.z_c)} test clips."
    title = "Probes: a linear classifier of each factor on one code; accuracy %"
    return Section("probes", title, without_spread(figures), note=note)


def _labelled(
    model: SequenceModel, data: Dataset, request: Request, labels: tuple[str, ...]
) -> tuple[Latents, dict[str, Int[Tensor, " N"]]]:
    chosen = some(len(data), PROBED_QUICK if request.quick else PROBED).to(data.device)
    known = data.labels(chosen)
    return encode_all(model, data, chosen)[0], {name: known[name] for name in labels}


def join(codes: list[Latents]) -> Latents:
    """Codes of several batches as those of one."""
    actions = [each.action for each in codes if each.action is not None]
    return Latents(
        torch.cat([each.z_c for each in codes]),
        torch.cat([each.z_m for each in codes]),
        torch.cat(actions) if actions else None,
    )


def evaluate(model: Model, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """A model of one's own clips: on those that were held out for test or, where there are none, for validation.

    Nobody knows what such clips show, so nothing judges how well its codes are apart.

    Raises:
        DataError: the folder is missing or has too few clips.
    """
    data, split = _held_out(model, data_folder, device)
    chosen = request.clips(len(data), most=10_000, quick=300)
    sections = []
    if encodes(model) and request.wants():
        found = encode_all(model, data, chosen)[1]
        sections.append(replace(found, note=f"{found.note} Of the files for {split}."))
    return Evaluation(
        request.model, request.method, "folder", len(chosen), request.seed, request.repeats, {}, tuple(sections)
    )


def _held_out(model: Model, folder: Path, device: torch.device) -> tuple[Dataset, str]:
    """The files for test or, where they are too few to have any, those for validation."""
    config = model.config

    def opened(split: str) -> Dataset:
        return open_dataset("folder", folder, split, device, frames=config.frames, frame_shape=config.frame_shape)

    try:
        return opened("test"), "test"
    except DataError:
        return opened("validation"), "validation"
