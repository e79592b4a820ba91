"""Probes: how well one code alone predicts a factor, which says what the code knows.

Shapes: n sequences, T steps, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from rwae_core.latents import Latents

ROWS = 2000
"""A probe learns from at most so many sequences, drawn at random."""
ITERATIONS = 300


def accuracies(
    codes: Latents,
    labels: dict[str, Int[Tensor, " n"]],
    held: Latents,
    held_labels: dict[str, Int[Tensor, " m"]],
    *,
    seed: int = 0,
) -> dict[str, float]:
    """Accuracy in % of a linear classifier of each factor, from z^c and from z^m: "z_c action", "z_m hair" and so on.

    A logistic regression on standardised codes, learned from `codes` and scored on `held`, which it has not seen. z^m
    is all its steps one after the other; where the held-out sequences are of another length, its mean and standard
    deviation over time. A factor that has but one value in `labels` is left out.

    Args:
        codes: What is learned from, one row a sequence.
        labels: The factors of `codes`.
        held: What is scored.
        held_labels: The same factors of `held`.
        seed: Decides which rows are learned from where there are more than `ROWS`.
    """
    rows = torch.randperm(len(codes.z_c), generator=torch.Generator().manual_seed(seed))[:ROWS]
    same_length = codes.z_m.shape[1] == held.z_m.shape[1]
    inputs = {
        "z_c": (codes.z_c, held.z_c),
        "z_m": (codes.z_m.flatten(1), held.z_m.flatten(1)) if same_length else (_moments(codes), _moments(held)),
    }
    found = {}
    for code, (known, unknown) in inputs.items():
        # Standardised on the CPU in double precision: a code that has collapsed differs in its last bits alone.
        learned, scored = known.double().cpu()[rows].numpy(), unknown.double().cpu().numpy()
        for factor, values in labels.items():
            classes = values.cpu()[rows].numpy()
            if len(set(classes.tolist())) > 1:
                probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS)).fit(learned, classes)
                found[f"{code} {factor}"] = 100 * float(probe.score(scored, held_labels[factor].cpu().numpy()))
    return found


def _moments(codes: Latents) -> Float[Tensor, "n moments"]:
    """Mean and standard deviation of z^m over time, which any length has."""
    return torch.cat([codes.z_m.mean(1), codes.z_m.std(1, correction=0)], 1)
