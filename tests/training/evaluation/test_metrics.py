"""Metrics have the values that their definitions give by hand or in closed form."""

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from training.evaluation import metrics


def test_inception_score_and_entropies_of_known_predictions() -> None:
    certain = torch.eye(9, dtype=torch.float64).repeat(7, 1)
    found = metrics.inception(certain)
    assert found["inception_score"] == pytest.approx(9)
    assert found["entropy_given_clip"] == 0
    assert found["entropy"] == pytest.approx(math.log(9))
    unsure = torch.full((5, 9), 1 / 9, dtype=torch.float64)
    assert metrics.inception(unsure)["inception_score"] == pytest.approx(1)
    collapsed = torch.eye(9, dtype=torch.float64)[:1].repeat(7, 1)
    assert metrics.inception(collapsed)["inception_score"] == pytest.approx(1)
    halves = torch.tensor([[0.5, 0.5], [1.0, 0.0]], dtype=torch.float64)
    expected = math.exp(-0.75 * math.log(0.75) - 0.25 * math.log(0.25) - 0.5 * math.log(2))
    assert metrics.inception(halves)["inception_score"] == pytest.approx(expected)


def test_frechet_distance_of_diagonal_gaussians_is_the_sum_over_axes() -> None:
    """Of N(a, s²) and N(b, t²): (a − b)² + (s − t)², axis by axis."""
    means = torch.tensor([[0.0, 1.0, -2.0], [3.0, 1.0, 0.5]], dtype=torch.float64)
    stds = torch.tensor([[1.0, 2.0, 0.0], [0.5, 2.0, 3.0]], dtype=torch.float64)
    expected = ((means[0] - means[1]).square() + (stds[0] - stds[1]).square()).sum().item()
    found = metrics.frechet(means[0], stds[0].square().diag(), means[1], stds[1].square().diag())
    assert found == pytest.approx(expected, rel=1e-12)
    assert metrics.frechet(means[0], stds[0].square().diag(), means[0], stds[0].square().diag()) == 0


def test_frechet_distance_is_what_the_root_of_the_product_gives() -> None:
    generator = torch.Generator().manual_seed(0)
    roots = torch.randn(2, 6, 6, dtype=torch.float64, generator=generator)
    a, b = (root @ root.T for root in roots)
    means = torch.randn(2, 6, dtype=torch.float64, generator=generator)
    product = np.real(sqrtm((a @ b).numpy()))
    expected = (means[0] - means[1]).square().sum().item() + np.trace(a.numpy() + b.numpy() - 2 * product)
    assert metrics.frechet(means[0], a, means[1], b) == pytest.approx(expected, rel=1e-8)


def test_fid_of_draws_is_that_of_their_gaussians() -> None:
    """20,000 draws of 4 features: the distance of their moments from the true ones is in the third digit."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(20_000, 4, generator=generator)
    b = 2 * torch.randn(20_000, 4, generator=generator) + 3
    assert metrics.fid(a, b) == pytest.approx(4 * (3**2 + (2 - 1) ** 2), rel=0.02)
    assert metrics.fid(a, torch.randn(20_000, 4, generator=generator)) < 0.01
    assert metrics.fid(a[:100], a[:100]) == pytest.approx(0, abs=1e-9)
    with pytest.raises(ValueError, match="at least 2"):
        metrics.fid(a[:1], b)


def test_fewer_features_than_dimensions_have_a_distance() -> None:
    """A singular covariance: two sets in different planes, each with variance 1 along one axis."""
    a = torch.zeros(3, 50, dtype=torch.float64)
    b = torch.zeros(3, 50, dtype=torch.float64)
    a[:, 0] = torch.tensor([-1.0, 0.0, 1.0])
    b[:, 1] = torch.tensor([-1.0, 0.0, 1.0])
    assert metrics.fid(a, b) == pytest.approx(2)


def test_eer_by_hand() -> None:
    def rate(same: list[float], different: list[float]) -> float:
        scores = torch.tensor([*same, *different])
        return metrics.eer(scores, torch.tensor([True] * len(same) + [False] * len(different)))

    assert rate([0.8, 0.9], [0.1, 0.2]) == 0
    assert rate([0.1, 0.2], [0.8, 0.9]) == 100
    assert rate([0.5, 0.5], [0.5, 0.5]) == 50
    # Between 0.4 and 0.6, one of four is accepted and one of four rejected.
    assert rate([0.9, 0.8, 0.6, 0.1], [0.0, 0.2, 0.4, 0.7]) == 25
    # 0 of 2 rejected while 1 of 3 is accepted, then 1 of 2 and 1 of 3: the line between crosses at 1/3.
    assert rate([0.9, 0.5], [0.7, 0.1, 0.0]) == pytest.approx(100 / 3)


@pytest.mark.parametrize("distance", [0.5, 1.0, 2.0, 3.0])
def test_eer_of_two_gaussians_is_the_closed_form(distance: float) -> None:
    """N(0, 1) and N(d, 1) cross at d/2: EER = Φ(−d/2), here from 20,000 of each, within 4 standard errors."""
    generator = torch.Generator().manual_seed(1)
    different = torch.randn(20_000, generator=generator, dtype=torch.float64)
    same = torch.randn(20_000, generator=generator, dtype=torch.float64) + distance
    kinds = torch.arange(40_000) < 20_000
    expected = torch.special.ndtr(torch.tensor(-distance / 2)).item()
    error = math.sqrt(expected * (1 - expected) / 20_000 / 2)
    assert metrics.eer(torch.cat([same, different]), kinds) == pytest.approx(100 * expected, abs=100 * 4 * error)


def test_det_curve_goes_from_accepting_to_rejecting_everything() -> None:
    scores = torch.tensor([0.9, 0.8, 0.6, 0.1, 0.0, 0.2, 0.4, 0.7])
    accepted, rejected = metrics.det(scores, torch.arange(8) < 4)
    assert (accepted[0], rejected[0], accepted[-1], rejected[-1]) == (1, 0, 0, 1)
    assert (np.diff(accepted) <= 0).all()
    assert (np.diff(rejected) >= 0).all()
    assert (0.25, 0.25) in list(zip(accepted, rejected, strict=True))


def test_categories_are_matched_so_that_most_are_right() -> None:
    labels = torch.arange(4).repeat_interleave(10)
    renamed = torch.tensor([2, 0, 3, 1])
    found = renamed[labels]
    names = metrics.match(found, labels, 4, 4)
    assert names[found].equal(labels)
    found[::4] = 0  # a quarter is mistaken
    assert metrics.match(found, labels, 4, 4).equal(names)
    # Both categories are mostly class 0, but only one can have it: together 8 + 3 are more than 9 + 1.
    found = torch.tensor([0] * 12 + [1] * 10)
    labels = torch.tensor([0] * 8 + [1] * 4 + [0] * 9 + [1])
    assert metrics.match(found, labels, 2, 2).tolist() == [1, 0]
    assert metrics.match(torch.tensor([0, 1, 1, 2]), torch.tensor([0, 1, 1, 1]), 3, 2).tolist() == [0, 1, -1]
