"""Each term against a slow float64 reference written from its formula, and against what it is known to be."""

import math

import pytest
import torch
from torch import nn

from rwae_core.gaussian import Gaussian
from training import objectives
from training.critics import DependenceCritic, FeatureCritic


def draw(*shape: int, seed: int = 0, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift


def reference_kernel(x: torch.Tensor, y: torch.Tensor, bandwidths: tuple[float, ...]) -> float:
    squared = sum((a - b) ** 2 for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return sum(math.exp(-squared / (2 * s * s)) for s in bandwidths)


def test_motion_mmd_is_the_sum_over_pairs_with_the_shared_history_left_out() -> None:
    posterior, prior = draw(5, 3, 2), draw(5, 3, 2, seed=1, shift=0.7)
    n, expected = 5, 0.0
    for t in range(3):
        z, p = posterior[:, t], prior[:, t]
        for i in range(n):
            for j in range(n):
                if i != j:
                    k = [reference_kernel(*pair, objectives.BANDWIDTHS) for pair in ((z[i], z[j]), (p[i], p[j]))]
                    expected += (sum(k) - 2 * reference_kernel(z[i], p[j], objectives.BANDWIDTHS)) / (n * (n - 1))
    assert objectives.motion_mmd(posterior, prior).item() == pytest.approx(expected, rel=1e-9)


def test_motion_mmd_is_zero_for_matched_and_positive_for_shifted_samples() -> None:
    matched = [objectives.motion_mmd(draw(200, 1, 4, seed=s), draw(200, 1, 4, seed=s + 100)).item() for s in range(10)]
    shifted = objectives.motion_mmd(draw(200, 1, 4), draw(200, 1, 4, seed=100, shift=1.0)).item()
    assert abs(sum(matched) / 10) < 0.02
    assert shifted > 0.2


def test_motion_mmd_is_not_pulled_down_by_pairs_that_share_a_history() -> None:
    history = draw(100, 1, 2)
    same = history + 0.1 * draw(100, 1, 2, seed=1), history + 0.1 * draw(100, 1, 2, seed=2)
    assert abs(objectives.motion_mmd(*same).item()) < 0.02


@pytest.fixture
def critic() -> nn.Module:
    torch.manual_seed(0)
    return FeatureCritic(3).double().eval()


def test_scaled_mmd_is_mmd_over_one_plus_ten_times_the_squared_gradient(critic: nn.Module) -> None:
    posterior, prior = draw(6, 3, shift=0.5), draw(6, 3, seed=1)
    f, g, n = critic(posterior).flatten(), critic(prior).flatten(), 6

    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return math.exp(-((a - b).item() ** 2) / 2)

    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    mmd = sum(k(f[i], f[j]) + k(g[i], g[j]) for i, j in pairs) / (n * (n - 1))
    mmd -= 2 * sum(k(f[i], g[j]) for i in range(n) for j in range(n)) / n**2
    gradients = [torch.autograd.functional.jacobian(critic, point[None]).flatten() for point in (*posterior, *prior)]
    expected = mmd / (1 + 10 * sum(gradient.square().sum().item() for gradient in gradients) / (2 * n))
    assert objectives.scaled_mmd(critic, posterior, prior).item() == pytest.approx(expected, rel=1e-9)


def test_scaled_mmd_grows_with_the_shift_and_its_gradient_is_right(critic: nn.Module) -> None:
    prior = draw(300, 3, seed=1)
    values = [objectives.scaled_mmd(critic, draw(300, 3, shift=shift), prior).item() for shift in (0.0, 1.0, 3.0)]
    assert abs(values[0]) < 1e-4
    assert values[0] < values[1] < values[2]
    posterior = draw(4, 3, shift=0.5).requires_grad_()
    # The gradient scale is a constant of the codes, so its finite difference is left out by fixing it.
    scale = 1 + 10 * torch.stack(
        [torch.autograd.functional.jacobian(critic, p[None]).square().sum() for p in (*posterior.detach(), *draw(4, 3))]
    ).mean()  # fmt: skip
    (found,) = torch.autograd.grad(objectives.scaled_mmd(critic, posterior, draw(4, 3)), posterior)
    (mmd,) = torch.autograd.grad(_plain_mmd(critic(posterior), critic(draw(4, 3))), posterior)
    torch.testing.assert_close(found, mmd / scale)


def _plain_mmd(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    def k(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.exp(-(a - b.T).square() / 2)

    n = len(x)
    off = 1 - torch.eye(n, dtype=x.dtype)
    return ((k(x, x) + k(y, y)) * off).sum() / (n * (n - 1)) - 2 * k(x, y).mean()


@pytest.mark.parametrize("term", ["motion_mmd", "motion_kl", "content_kl", "squared_error"])
def test_gradients_agree_with_finite_differences(term: str) -> None:
    a, b = draw(3, 2, 2).requires_grad_(), draw(3, 2, 2, seed=1).requires_grad_()
    functions = {
        "motion_mmd": lambda: torch.autograd.gradcheck(objectives.motion_mmd, (a, b)),
        "motion_kl": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.motion_kl(Gaussian(m, s.exp()), Gaussian(s, m.exp())), (a, b)
        ),
        "content_kl": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.content_kl(Gaussian(m[:, 0], s[:, 0].exp())), (a, b)
        ),
        "squared_error": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.squared_error(m[:, :, None, None], s[:, :, None, None]), (a, b)
        ),
    }
    assert functions[term]()


def test_kl_is_the_mean_of_the_log_ratio_of_densities() -> None:
    p, q = Gaussian(draw(1, 3), draw(1, 3, seed=1).exp()), Gaussian(draw(1, 3, seed=2), draw(1, 3, seed=3).exp())
    x = p.mean + p.std * draw(400_000, 3, seed=4)
    ratio = torch.distributions.Normal(p.mean, p.std).log_prob(x) - torch.distributions.Normal(q.mean, q.std).log_prob(
        x
    )
    error = ratio.std(0) / len(x) ** 0.5
    assert ((p.kl(q)[0] - ratio.mean(0)).abs() < 5 * error).all()
    torch.testing.assert_close(p.standard_kl(), p.kl(Gaussian(torch.zeros(1, 3), torch.ones(1, 3)).__class__(
        torch.zeros(1, 3, dtype=torch.float64), torch.ones(1, 3, dtype=torch.float64))))  # fmt: skip


def test_dependence_of_a_trained_critic_is_near_the_mutual_information_of_two_gaussians() -> None:
    correlation = 0.8
    expected = -0.5 * math.log(1 - correlation**2)
    torch.manual_seed(0)
    critic = DependenceCritic(1, 1, 1)
    optimiser = torch.optim.Adam(critic.parameters(), 1e-3)

    def codes(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        x, noise = draw(512, 1, seed=seed).float(), draw(512, 1, seed=seed + 10_000).float()
        return x, (correlation * x + math.sqrt(1 - correlation**2) * noise)[:, None]

    for step in range(400):
        loss = objectives.dependence_critic_loss(critic, *codes(step))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = torch.stack([objectives.dependence(critic, *codes(s)) for s in range(1000, 1020)]).mean().item()
        x, z = codes(2000)
        independent = objectives.dependence(critic, x, z[torch.randperm(len(z))]).item()
    assert found == pytest.approx(expected, abs=0.1)
    assert independent < 0
