"""The Sprites protocols: which codes are kept, which are drawn, and what the judge then says.

Shapes: B clips, T frames, A = 9 actions. Errors and accuracies are in %.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training.datasets.sprites import ATTRIBUTES, Labels, Sprites
from training.judge import Judge

BATCH = 72
COLUMNS = ("action", *ATTRIBUTES)

Figures = dict[str, float]


@torch.no_grad()
def judge_accuracy(judge: Judge, data: Sprites) -> Figures:
    """How often the judge is right on the real clips."""
    wrong = [_errors(judge, data.clips(i), data.labels(i)) for i in _batches(data, "judge on real clips")]
    return {name: 100 - value for name, value in _percent(wrong).items()}


@torch.no_grad()
def encode_all(model: RWAE, data: Sprites) -> tuple[Latents, Figures]:
    """Posterior means of all clips; the reconstruction's squared error a clip, its PSNR, and the nats in each code.

    PSNR is the mean over clips of 10 log₁₀(1 / MSE), in dB.
    """
    z_c, z_m, errors, nats = [], [], [], []
    for indices in _batches(data, "encode"):
        clip = data.clips(indices)
        inference = model.infer(clip, sample=False)
        z_c.append(inference.latents.z_c)
        z_m.append(inference.latents.z_m)
        errors.append((model.decode(inference.latents) - clip).square().flatten(1))
        motion = inference.motion.kl(model.motion_prior(inference.latents.z_m))
        nats.append(torch.stack([inference.content.standard_kl().sum(1), motion.sum((1, 2))], 1))
    error = torch.cat([e.sum(1) for e in errors])
    psnr = torch.cat([-10 * e.mean(1).log10() for e in errors])
    content_nats, motion_nats = torch.cat(nats).mean(0).tolist()
    figures = {"squared_error": error.mean().item(), "psnr_db": psnr.mean().item()}
    return Latents(torch.cat(z_c), torch.cat(z_m)), {
        **figures,
        "content_nats": content_nats,
        "motion_nats": motion_nats,
    }


@torch.no_grad()
def kept_motion(
    model: RWAE, judge: Judge, data: Sprites, codes: Latents, generator: torch.Generator
) -> tuple[Figures, Figures]:
    """Keeps E[z^m], draws z^c ~ N(0, I): protocol 1's error of the action, and protocol 3's figures.

    Protocol 3, from the judge's 9-way softmax p(y|x): accuracy, IS = exp(E KL(p(y|x) ‖ p(y))), H(y|x), H(y), and the
    accuracies of the attributes, which should fall to chance (16.7).
    """
    probabilities, right = [], []
    for indices in _batches(data, "keep motion"):
        drawn = model.sample(len(indices), codes.z_m.shape[1], generator, z_m=codes.z_m[indices])
        clips = model.decode(drawn)
        probabilities.append(judge(clips)[0].double().softmax(-1))
        right.append(_right(judge.verdict(clips), data.labels(indices)))
    accuracy = _percent(right)
    return {"action": 100 - accuracy["action"]}, {
        **{f"{name}_accuracy": value for name, value in accuracy.items()},
        **inception_figures(torch.cat(probabilities)),
    }


@torch.no_grad()
def kept_content(
    model: RWAE, judge: Judge, data: Sprites, codes: Latents, generator: torch.Generator
) -> tuple[Figures, Figures]:
    """Keeps E[z^c], rolls z^m out of the recurrent prior: protocol 1's errors of the attributes.

    Second, the accuracy of the source's action, which should fall to chance (11.1).
    """
    wrong = []
    for indices in _batches(data, "keep content"):
        drawn = model.sample(len(indices), codes.z_m.shape[1], generator, z_c=codes.z_c[indices])
        wrong.append(_errors(judge, model.decode(drawn), data.labels(indices)))
    errors = _percent(wrong)
    action = errors.pop("action")
    return errors, {"reverse_action_accuracy": 100 - action}


@torch.no_grad()
def swap(model: RWAE, judge: Judge, data: Sprites, codes: Latents, generator: torch.Generator) -> Figures:
    """Errors of z^c of clip A decoded with z^m of clip B: every clip is an A once, its B is drawn at random."""
    partners = torch.randint(len(data), (len(data),), generator=generator).to(data.device)
    wrong = []
    for indices in _batches(data, "swap"):
        clip = model.decode(Latents(codes.z_c[indices], codes.z_m[partners[indices]]))
        intended = data.labels(indices) | {"action": data.labels(partners[indices])["action"]}
        wrong.append(_errors(judge, clip, intended))
    return _percent(wrong)


def inception_figures(probabilities: Float[Tensor, "n A"]) -> Figures:
    """IS, H(y|x) and H(y) in nats of a classifier's probabilities; IS = exp(H(y) − H(y|x)), at most A."""
    conditional = torch.special.entr(probabilities).sum(1).mean().item()
    marginal = torch.special.entr(probabilities.mean(0)).sum().item()
    return {"inception_score": math.exp(marginal - conditional), "entropy_given_clip": conditional, "entropy": marginal}


def _batches(data: Sprites, name: str) -> Iterator[Tensor]:
    yield from tqdm(torch.arange(len(data), device=data.device).split(BATCH), desc=name, leave=False)


def _right(found: Labels, labels: Labels) -> Tensor:
    return torch.stack([found[name] == labels[name] for name in COLUMNS], 1).float()


def _errors(judge: Judge, clips: Tensor, labels: Labels) -> Tensor:
    return 1 - _right(judge.verdict(clips), labels)


def _percent(batches: list[Tensor]) -> Figures:
    return dict(zip(COLUMNS, (100 * torch.cat(batches).mean(0)).tolist(), strict=True))
