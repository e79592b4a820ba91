"""What is computed of judges' probabilities and features, and of verification scores: pure functions.

Entropies are in nats, rates in %. Shapes: N clips or frames, K classes, F features, P pairs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import det_curve
from torch import Tensor


def inception(probabilities: Float[Tensor, "N K"]) -> dict[str, float]:
    """IS, H(y|x) and H(y) of a classifier's probabilities p(y|x) (Salimans et al. 2016).

    IS = exp(E KL(p(y|x) ‖ p(y))) = exp(H(y) − H(y|x)), at most K. Of generated clips v, H(y|v) is the intra-entropy
    and H(y) the inter-entropy (He et al. 2018).
    """
    probabilities = probabilities.double()
    conditional = torch.special.entr(probabilities).sum(1).mean().item()
    marginal = torch.special.entr(probabilities.mean(0)).sum().item()
    return {"inception_score": math.exp(marginal - conditional), "entropy_given_clip": conditional, "entropy": marginal}


def fid(a: Float[Tensor, "N F"], b: Float[Tensor, "M F"]) -> float:
    """Fréchet distance of the Gaussians with the moments of two sets of features (Heusel et al. 2017).

    Raises:
        ValueError: a set has fewer than two rows, so no covariance.
    """
    if min(len(a), len(b)) < 2:
        raise ValueError(f"sets of {len(a)} and {len(b)} features have no covariance; each needs at least 2")
    a, b = a.double(), b.double()
    return frechet(a.mean(0), _covariance(a), b.mean(0), _covariance(b))


def frechet(
    mean_a: Float[Tensor, " F"],
    covariance_a: Float[Tensor, "F F"],
    mean_b: Float[Tensor, " F"],
    covariance_b: Float[Tensor, "F F"],
) -> float:
    """‖μ_a − μ_b‖² + Tr(Σ_a + Σ_b − 2 (Σ_a Σ_b)^½), the squared 2-Wasserstein distance of two Gaussians.

    Σ_a Σ_b has the eigenvalues of Σ_a^½ Σ_b Σ_a^½, which is symmetric: no root of a matrix that is not, and singular
    covariances, of features that never change or fewer samples than features, are none too.
    """
    values, vectors = torch.linalg.eigh(covariance_a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ covariance_b @ root).clamp(min=0).sqrt().sum()
    distance = (mean_a - mean_b).square().sum() + covariance_a.trace() + covariance_b.trace() - 2 * cross
    return max(0.0, distance.item())


def det(scores: Float[Tensor, " P"], same: Bool[Tensor, " P"]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The curve of detection error trade-off: false acceptances and false rejections as the threshold rises.

    Returns:
        The fractions of pairs of different speakers that are accepted, and of one speaker that are rejected; from
        everything accepted to everything rejected.

    Raises:
        ValueError: all pairs are of one kind.
    """
    accepted, rejected, _ = det_curve(same.cpu().numpy(), scores.double().cpu().numpy())
    return np.array([1.0, *accepted, 0.0]), np.array([0.0, *rejected, 1.0])


def eer(scores: Float[Tensor, " P"], same: Bool[Tensor, " P"]) -> float:
    """Equal error rate in %: where as many are falsely accepted as falsely rejected, on straight lines between points.

    Raises:
        ValueError: all pairs are of one kind.
    """
    accepted, rejected = det(scores, same)
    over = rejected - accepted
    after = int(np.argmax(over >= 0))  # the last is 1
    share = -over[after - 1] / (over[after] - over[after - 1])
    return 100 * float(rejected[after - 1] + share * (rejected[after] - rejected[after - 1]))


def match(found: Int[Tensor, " N"], labels: Int[Tensor, " N"], categories: int, classes: int) -> Int[Tensor, " A"]:
    """The class of each category, so that as many as can be are right (the Hungarian method).

    Args:
        found: The category of each clip, 0 … categories − 1, whose names nobody knows.
        labels: Its class, 0 … classes − 1.
        categories: A, how many there are.
        classes: How many classes.

    Returns:
        For each category its class; no two have the same, and −1 is what a category over the classes has.
    """
    counts = torch.zeros(categories, classes, dtype=torch.long)
    counts.index_put_((found.cpu(), labels.cpu()), torch.ones(len(found), dtype=torch.long), accumulate=True)
    rows, columns = linear_sum_assignment(counts.numpy(), maximize=True)
    names = torch.full((categories,), -1)
    names[torch.from_numpy(rows)] = torch.from_numpy(columns)
    return names.to(labels.device)


def _covariance(features: Float[Tensor, "N F"]) -> Float[Tensor, "F F"]:
    centred = features - features.mean(0)
    return centred.T @ centred / (len(features) - 1)
