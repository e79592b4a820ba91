"""Mixtures of Gaussians: draws against their densities, the bound of the divergence against its estimate."""

from __future__ import annotations

import math

import pytest
import torch

from rwae_core.config import ModelConfig
from rwae_core.gaussian import Gaussian
from rwae_core.mixture import ContentPrior, Mixture, MixtureHead, mixture_noise

WEIGHTS = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
MEANS = torch.tensor([[-6.0, 0.0], [0.0, 6.0], [8.0, -3.0]], dtype=torch.float64)
STDS = torch.tensor([[0.5, 1.0], [1.0, 0.3], [0.2, 0.7]], dtype=torch.float64)


def mixture(*batch: int) -> Mixture:
    return Mixture(WEIGHTS.log().expand(*batch, 3), Gaussian(MEANS.expand(*batch, 3, 2), STDS.expand(*batch, 3, 2)))


def reference() -> torch.distributions.MixtureSameFamily:
    each = torch.distributions.Independent(torch.distributions.Normal(MEANS, STDS), 1)
    return torch.distributions.MixtureSameFamily(torch.distributions.Categorical(WEIGHTS), each)


def test_draws_are_of_the_components_as_often_as_their_weights_say() -> None:
    drawn = mixture(20_000).sample(torch.Generator().manual_seed(0))
    nearest = ((drawn[:, None] - MEANS) / STDS).square().sum(-1).argmin(1)
    shares = torch.bincount(nearest, minlength=3) / 20_000
    torch.testing.assert_close(shares.double(), WEIGHTS, atol=0.015, rtol=0)
    for component, (mean, std) in enumerate(zip(MEANS, STDS, strict=True)):
        own = drawn[nearest == component]
        torch.testing.assert_close(own.mean(0), mean, atol=0.05, rtol=0)
        torch.testing.assert_close(own.std(0), std, atol=0.05, rtol=0)


def test_at_temperature_0_a_draw_is_the_mean_of_the_likeliest_component() -> None:
    noise = 0 * mixture_noise((5, 3, 2), None, MEANS)
    assert torch.equal(mixture(5).draw(noise), MEANS[1].expand(5, 2))


def test_a_low_temperature_sharpens_weights_and_deviations() -> None:
    noise = 0.5 * mixture_noise((20_000, 3, 2), torch.Generator().manual_seed(0), MEANS)
    drawn = mixture(20_000).draw(noise)
    nearest = ((drawn[:, None] - MEANS) / STDS).square().sum(-1).argmin(1)
    sharpened = WEIGHTS.square() / WEIGHTS.square().sum()
    torch.testing.assert_close(torch.bincount(nearest, minlength=3).double() / 20_000, sharpened, atol=0.015, rtol=0)
    torch.testing.assert_close(drawn[nearest == 0].std(0), STDS[0] / 2, atol=0.03, rtol=0)


@pytest.mark.parametrize(("mean", "std"), [([0.0, 6.0], 0.3), ([-6.0, 0.5], 0.4), ([2.0, 0.0], 1.5)])
def test_the_bound_is_above_the_divergence_and_close_to_it_where_one_component_is_near(
    mean: list[float], std: float
) -> None:
    posterior = Gaussian(torch.tensor(mean, dtype=torch.float64), torch.full((2,), std, dtype=torch.float64))
    torch.manual_seed(0)
    drawn = posterior.mean + posterior.std * torch.randn(200_000, 2, dtype=torch.float64)
    log_posterior = torch.distributions.Normal(posterior.mean, posterior.std).log_prob(drawn).sum(1)
    divergence = (log_posterior - reference().log_prob(drawn)).mean().item()
    bound = mixture().kl_of(posterior).item()
    assert bound > divergence - 0.01
    if std < 1:
        assert bound == pytest.approx(divergence, abs=0.02)
    least = min(
        Gaussian(m, s).kl_of(posterior).item() - w.log().item() for m, s, w in zip(MEANS, STDS, WEIGHTS, strict=True)
    )
    assert bound <= least + 1e-9


def test_one_component_is_a_gaussian() -> None:
    torch.manual_seed(0)
    prior = Gaussian(torch.randn(4, 5, 2), torch.rand(4, 5, 2) + 0.1)
    posterior = Gaussian(torch.randn(4, 5, 2), torch.rand(4, 5, 2) + 0.1)
    one = Mixture(torch.zeros(4, 5, 1), Gaussian(prior.mean[:, :, None], prior.std[:, :, None]))
    torch.testing.assert_close(one.kl_of(posterior), prior.kl_of(posterior))
    noise = torch.randn(4, 5, 3)
    torch.testing.assert_close(one.draw(noise), prior.draw(noise[..., :2]))


def test_a_head_learns_two_ways_that_one_gaussian_lies_between() -> None:
    torch.manual_seed(0)
    head = MixtureHead(1, 1, 4)
    optimiser = torch.optim.Adam(head.parameters(), 0.02)
    ways = torch.tensor([[-2.0], [2.0]])
    for _ in range(400):
        chosen = ways[torch.randint(2, (64,))]
        loss = head(torch.ones(64, 1)).kl_of(Gaussian(chosen, torch.full_like(chosen, 0.1))).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    noise = head.noise(2000, 1, torch.Generator().manual_seed(0), ways)[:, 0]
    drawn = head(torch.ones(2000, 1)).draw(noise).detach()
    assert (drawn.abs() - 2).abs().quantile(0.99) < 0.5
    assert (drawn > 0).float().mean() == pytest.approx(0.5, abs=0.06)
    assert loss.item() == pytest.approx(math.log(2), abs=0.1)


def test_without_components_content_is_standard_normal_and_nothing_learns() -> None:
    prior = ContentPrior(ModelConfig(content_dim=4))
    assert list(prior.parameters()) == []
    normal = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    assert torch.equal(prior(normal).draw(prior.noise(normal, None)), normal)
    posterior = Gaussian(normal, normal.exp())
    expected = torch.distributions.kl_divergence(
        torch.distributions.Normal(normal, normal.exp()), torch.distributions.Normal(0.0, 1.0)
    )
    torch.testing.assert_close(prior(normal).kl_of(posterior), expected.sum(1))


def test_a_prior_of_content_finds_clusters_and_nothing_between_them() -> None:
    torch.manual_seed(0)
    source = torch.Generator().manual_seed(0)
    clusters = torch.tensor([[-3.0, 0.0], [3.0, 0.0], [0.0, 4.0]])

    def codes(count: int) -> Gaussian:
        mean = clusters[torch.randint(3, (count,), generator=source)] + 0.2 * torch.randn(count, 2, generator=source)
        return Gaussian(mean, torch.full_like(mean, 0.1))

    prior = ContentPrior(ModelConfig(content_dim=2, content_components=16))
    prior.fit(codes(1600), codes(100))
    normal = torch.randn(3000, 2, generator=source)
    drawn = prior(normal).draw(prior.noise(normal, source)).detach()
    apart = torch.cdist(drawn, clusters)
    assert apart.amin(1).quantile(0.99) < 0.9
    shares = torch.bincount(apart.argmin(1), minlength=3) / 3000
    torch.testing.assert_close(shares, torch.full((3,), 1 / 3), atol=0.08, rtol=0)


def test_what_is_rare_is_drawn_as_rarely_and_nothing_is_left_out() -> None:
    source = torch.Generator().manual_seed(0)
    places = torch.randn(20, 8, generator=source)
    counts = torch.arange(1, 21)
    mean = places.repeat_interleave(counts, 0) + 0.01 * torch.randn(int(counts.sum()), 8, generator=source)
    prior = ContentPrior(ModelConfig(content_dim=8, content_components=30))
    posterior = Gaussian(mean, torch.full_like(mean, 0.05))
    prior.fit(posterior, posterior)
    normal = torch.zeros(5000, 8)
    drawn = prior(normal).draw(prior.noise(normal, source)).detach()
    found = torch.bincount(torch.cdist(drawn, places).argmin(1), minlength=20) / 5000
    torch.testing.assert_close(found, counts / counts.sum(), atol=0.01, rtol=0)
    torch.testing.assert_close(prior.log_std.exp().mean(), torch.tensor(0.051), atol=0.005, rtol=0)


def test_no_gradient_is_left_where_a_mixture_was_fitted() -> None:
    source = torch.Generator().manual_seed(0)
    codes = Gaussian(torch.randn(200, 3, generator=source), 0.3 + torch.rand(200, 3, generator=source))
    prior = ContentPrior(ModelConfig(content_dim=3, content_components=4))
    before = prior(codes.mean).kl_of(codes).mean()
    prior.fit(codes, codes)
    bound = prior(codes.mean).kl_of(codes).mean()
    bound.backward()
    assert bound < before
    for parameter in prior.parameters():
        assert parameter.grad is not None
        assert parameter.grad.abs().max() < 0.01


def test_codes_that_repeat_can_be_fitted() -> None:
    mean = torch.ones(40, 2)
    prior = ContentPrior(ModelConfig(content_dim=2, content_components=8))
    prior.fit(Gaussian(mean, torch.full_like(mean, 0.2)), Gaussian(mean, torch.full_like(mean, 0.2)))
    normal = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    drawn = prior(normal).draw(prior.noise(normal, torch.Generator().manual_seed(0))).detach()
    torch.testing.assert_close(drawn.mean(0), torch.ones(2), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.full((2,), 0.2), atol=0.05, rtol=0)


def test_it_is_as_wide_as_clips_want_that_it_was_not_fitted_to() -> None:
    source = torch.Generator().manual_seed(0)

    def places(count: int) -> Gaussian:  # of recordings, each of them met 20 times
        mean = torch.randn(count, 8, generator=source).repeat_interleave(20, 0)
        return Gaussian(mean, torch.full_like(mean, 0.05))

    prior, (seen, others) = ContentPrior(ModelConfig(content_dim=8, content_components=30)), (places(20), places(20))
    prior.fit(seen, seen)
    narrow, surprised = prior.log_std.exp().mean(), prior(others.mean).kl_of(others).mean()
    prior.fit(seen, others)
    assert narrow < 0.06
    assert 0.4 < prior.log_std.exp().mean() < 1.1
    assert prior(others.mean).kl_of(others).mean() < surprised / 10
