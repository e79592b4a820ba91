"""Each term against a slow float64 reference written from its formula, and against what it is known to be."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from rwae_core.gaussian import Gaussian
from rwae_core.gumbel import GumbelSoftmax
from training import objectives
from training.critics import DependenceCritic, Discriminator, FeatureCritic


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


@pytest.fixture
def discriminator() -> nn.Module:
    torch.manual_seed(0)
    return Discriminator(3).double()


def test_jensen_shannon_is_the_expected_log_probability_of_a_right_guess(discriminator: nn.Module) -> None:
    posterior, prior = draw(6, 3, shift=0.5), draw(6, 3, seed=1)

    def probability(code: torch.Tensor) -> float:
        return 1 / (1 + math.exp(-discriminator(code[None]).item()))

    expected = sum(math.log(probability(z)) for z in prior) / 6
    expected += sum(math.log(1 - probability(z)) for z in posterior) / 6
    found = objectives.jensen_shannon(discriminator, posterior, prior).item()
    assert found == pytest.approx(expected + 2 * math.log(2), rel=1e-9)


def test_jensen_shannon_of_the_best_discriminator_is_twice_the_divergence() -> None:
    """Between N(0, 1) and N(s, 1) the best logit is known; the divergence is integrated on a grid."""
    for shift in (0.0, 1.0, 3.0):

        def best(z: torch.Tensor, shift: float = shift) -> torch.Tensor:
            return (z - shift).square() / 2 - z.square() / 2

        found = objectives.jensen_shannon(best, draw(400_000, 1, shift=shift), draw(400_000, 1, seed=1)).item()
        x = torch.linspace(-8, 11, 20_001, dtype=torch.float64)
        p, q = (torch.exp(-((x - m) ** 2) / 2) / math.sqrt(2 * math.pi) for m in (0.0, shift))
        middle = (p + q) / 2
        divergence = torch.trapezoid(p * (p / middle).log() + q * (q / middle).log(), x).item()
        assert found == pytest.approx(divergence, abs=5e-3)
        assert found == pytest.approx(0, abs=1e-9) if shift == 0 else found > 0.1


def test_the_gradient_penalty_is_the_mean_squared_gradient_at_the_interpolates(discriminator: nn.Module) -> None:
    posterior, prior = draw(6, 3, shift=0.5), draw(6, 3, seed=1)
    mix = torch.rand(6, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    expected = 0.0
    for z, p, a in zip(posterior, prior, mix, strict=True):
        point = a * p + (1 - a) * z
        expected += torch.autograd.functional.jacobian(discriminator, point[None]).square().sum().item() / 6
    found = objectives.gradient_penalty(discriminator, posterior, prior, mix)
    assert found.item() == pytest.approx(expected, rel=1e-9)
    found.backward()
    assert all(weight.grad.any() for weight in discriminator.parameters() if weight.ndim > 1)


def test_cross_entropy_is_minus_the_log_probability_of_the_clip() -> None:
    found, clip = draw(2, 3, 4).sigmoid(), draw(2, 3, 4, seed=1).sigmoid()
    pairs = list(zip(found.flatten().tolist(), clip.flatten().tolist(), strict=True))
    expected = -sum(x * math.log(p) + (1 - x) * math.log(1 - p) for p, x in pairs) / 2
    assert objectives.cross_entropy(found, clip).item() == pytest.approx(expected, rel=1e-9)


def concrete_log_density(action: torch.Tensor, alpha: torch.Tensor, temperature: float) -> torch.Tensor:
    """Maddison et al. 2016, eq. 10, as printed."""
    count = len(alpha)
    powers = (alpha * action ** (-temperature - 1)).prod(-1)
    total = (alpha * action**-temperature).sum(-1)
    return torch.log(math.gamma(count) * temperature ** (count - 1) * powers * total**-count)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_the_log_ratio_of_actions_is_that_of_their_densities(temperature: float) -> None:
    posterior = GumbelSoftmax(draw(3), temperature)
    log_action = GumbelSoftmax(draw(3).expand(1000, 3), temperature).log_sample(torch.Generator().manual_seed(0))
    action, uniform = log_action.exp(), torch.full((3,), 1 / 3, dtype=torch.float64)
    expected = concrete_log_density(action, posterior.probabilities, temperature)
    expected = expected - concrete_log_density(action, uniform, temperature)
    torch.testing.assert_close(posterior.log_ratio(log_action), expected)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_action_kl_is_its_integral_over_the_simplex(temperature: float) -> None:
    """Two actions, so the simplex is a line: the KL integrated on it against the mean over draws."""
    logits = torch.tensor([0.3, -0.9], dtype=torch.float64)
    # ln(y / (1 − y)) as the variable keeps the ends of the line apart.
    x = torch.linspace(-60, 60, 400_001, dtype=torch.float64)
    y = torch.stack([x.sigmoid(), (-x).sigmoid()], -1)
    jacobian = y.prod(-1)
    posterior = concrete_log_density(y, logits.softmax(0), temperature)
    prior = concrete_log_density(y, torch.full((2,), 0.5, dtype=torch.float64), temperature)
    expected = torch.trapezoid((posterior - prior) * posterior.exp() * jacobian, x).item()

    many = GumbelSoftmax(logits.expand(200_000, 2), temperature)
    draws = many.log_sample(torch.Generator().manual_seed(1))
    error = many.log_ratio(draws).std().item() / len(draws) ** 0.5
    assert objectives.action_kl(many, draws).item() == pytest.approx(expected, abs=5 * error)
    assert expected > 0.1
    even = GumbelSoftmax(torch.zeros(100, 2, dtype=torch.float64), temperature)
    assert objectives.action_kl(even, even.log_sample()).item() == pytest.approx(0, abs=1e-12)


def test_the_regulariser_is_the_mean_kl_less_the_information() -> None:
    """Theorem 3, eq. 13: KL(Q(Z) ‖ P(Z)) = E_X KL(Q(Z|X) ‖ P(Z)) − I(X; Z), on three clips and four codes.

    So matching the marginal, as R-WAE does, leaves the code free to tell clips apart, where a VAE's mean KL, the first
    term alone, charges for it.
    """
    clips = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    given = draw(3, 4).softmax(1)  # Q(z | x)
    prior = draw(4, seed=1).softmax(0)
    marginal = clips @ given

    def kl(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
        return (p * (p / q).log()).sum(-1)

    joint = clips[:, None] * given
    information = (joint * (joint / (clips[:, None] * marginal)).log()).sum()
    torch.testing.assert_close(kl(marginal, prior), clips @ kl(given, prior) - information)
    assert information > 0.1


def _smooth_pair(z_c: torch.Tensor, z_m: torch.Tensor) -> torch.Tensor:
    return torch.tanh(z_c.sum(1) * z_m.sum((1, 2)))


@pytest.mark.parametrize(
    "term",
    [
        "motion_mmd",
        "motion_kl",
        "content_kl",
        "squared_error",
        "cross_entropy",
        "jensen_shannon",
        "gradient_penalty",
        "scaled_mmd",
        "action_kl",
        "action_agreement",
        "action_cycle",
        "moving_error",
        "dependence",
        "dependence_critic_loss",
    ],
)
def test_gradients_agree_with_finite_differences(term: str) -> None:
    a, b = draw(3, 2, 2).requires_grad_(), draw(3, 2, 2, seed=1).requires_grad_()
    torch.manual_seed(0)
    smooth = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)).double()
    functions = {
        "cross_entropy": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.cross_entropy(m.sigmoid(), s.sigmoid()), (a, b)
        ),
        "jensen_shannon": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.jensen_shannon(smooth, m[:, 0], s[:, 0]), (a, b)
        ),
        # Of the critic's weights: both hold the codes fixed where they take the critic's gradient.
        "scaled_mmd": lambda: torch.autograd.gradcheck(
            lambda w: objectives.scaled_mmd(lambda z: torch.tanh(z @ w[0]).sum(1, keepdim=True), b[:, 0], b[:, 1]), (a,)
        ),
        "gradient_penalty": lambda: torch.autograd.gradcheck(
            lambda w: objectives.gradient_penalty(
                lambda z: torch.tanh(z @ w[0]).sum(1, keepdim=True), b[:, 0], b[:, 1], torch.full((3, 1), 0.4).double()
            ),
            (a,),
        ),
        "action_kl": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.action_kl(GumbelSoftmax(m[:, 0], 0.7), torch.log_softmax(s[:, 0], -1)), (a, b)
        ),
        "action_agreement": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.action_agreement(m[:, 0].softmax(-1), s.softmax(-1)), (a, b)
        ),
        "action_cycle": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.action_cycle(m[:, 0].softmax(-1), s[:, 0].softmax(-1)), (a, b)
        ),
        "moving_error": lambda: torch.autograd.gradcheck(  # of what is found: what moves is given
            lambda m: objectives.moving_error(m[..., None, None], b.detach()[..., None, None]), (a,)
        ),
        "dependence": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.dependence(_smooth_pair, m[:, 0], s), (a, b)
        ),
        "dependence_critic_loss": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.dependence_critic_loss(_smooth_pair, m[:, 0], s), (a, b)
        ),
        "motion_mmd": lambda: torch.autograd.gradcheck(objectives.motion_mmd, (a, b)),
        "motion_kl": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.motion_kl(Gaussian(m, s.exp()), Gaussian(s, m.exp())), (a, b)
        ),
        "content_kl": lambda: torch.autograd.gradcheck(
            lambda m, s: objectives.content_kl(Gaussian(m[:, 0], s[:, 0].exp()), Gaussian(s[:, 1], m[:, 1].exp())),
            (a, b),
        ),
        "squared_error": lambda: torch.autograd.gradcheck(objectives.squared_error, (a, b)),
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


def test_kl_terms_are_zero_for_matched_and_positive_for_shifted_codes() -> None:
    codes = Gaussian(draw(2, 3, 4), draw(2, 3, 4, seed=1).exp())
    assert objectives.motion_kl(codes, codes).item() == pytest.approx(0, abs=1e-12)
    assert objectives.motion_kl(Gaussian(codes.mean + 1, codes.std), codes).item() > 0.1
    standard = Gaussian(torch.zeros(2, 3, dtype=torch.float64), torch.ones(2, 3, dtype=torch.float64))
    assert objectives.content_kl(standard, standard).item() == pytest.approx(0, abs=1e-12)
    assert objectives.content_kl(Gaussian(standard.mean + 1, standard.std), standard).item() == pytest.approx(1.5)


def test_actions_agree_where_clips_that_are_alike_have_one_and_all_are_as_frequent() -> None:
    certain = torch.eye(4, dtype=torch.float64).repeat(5, 1)
    least = -objectives.EVENNESS * math.log(4)
    assert objectives.action_agreement(certain, certain[:, None].expand(-1, 3, -1)).item() == pytest.approx(least)
    shifted = certain.roll(1, 0)
    assert objectives.action_agreement(certain, shifted[:, None]).item() > least + 5, "alike, and told apart"
    always = certain[:1].expand(20, -1)
    assert objectives.action_agreement(always, always[:, None]).item() == pytest.approx(0, abs=1e-6), "one for all"
    three = torch.where(certain.argmax(1, keepdim=True) == 3, certain[2], certain)
    assert objectives.action_agreement(three, three[:, None]).item() > least + 1, "one of them hardly used"
    unsure = torch.full((20, 4), 0.25, dtype=torch.float64)
    assert objectives.action_agreement(unsure, unsure[:, None]).item() == pytest.approx(math.log(4) + least)
    actions, companions = draw(20, 4).softmax(-1), draw(20, 2, 4, seed=1).softmax(-1)
    expected, often = 0.0, [0.0] * 4
    for a, others in zip(actions.tolist(), companions.tolist(), strict=True):
        for b in others:
            expected -= math.log(sum(one * other for one, other in zip(a, b, strict=True))) / 40
        for one in (a, *others):
            often = [so_far + share / 60 for so_far, share in zip(often, one, strict=True)]
    expected += objectives.EVENNESS * sum(share * math.log(share) for share in often)
    assert objectives.action_agreement(actions, companions).item() == pytest.approx(expected, rel=1e-9)


def test_a_swap_shows_an_action_by_the_likelihood_of_its_source() -> None:
    certain = torch.eye(3, dtype=torch.float64)
    assert objectives.action_cycle(certain, certain).item() == pytest.approx(0, abs=1e-9)
    assert objectives.action_cycle(torch.full((3, 3), 1 / 3, dtype=torch.float64), certain).item() == pytest.approx(
        math.log(3)
    )
    seen, actions = draw(6, 3).softmax(-1), draw(6, 3, seed=1).softmax(-1)
    expected = -sum(
        a * math.log(q)
        for row, told in zip(seen.tolist(), actions.tolist(), strict=True)
        for q, a in zip(row, told, strict=True)
    )
    assert objectives.action_cycle(seen, actions).item() == pytest.approx(expected / 6)


def test_what_moves_counts_up_to_five_times() -> None:
    clip, found = draw(2, 3, 1, 4, 4).sigmoid(), draw(2, 3, 1, 4, 4, seed=1).sigmoid()
    expected = 0.0
    for b, t, y, x in itertools.product(range(2), range(3), range(4), range(4)):
        over_time = clip[b, :, 0, y, x].tolist()
        moved = min(1.0, abs(over_time[t] - sum(over_time) / 3) / objectives.MOVED)
        expected += (1 + objectives.MOVING * moved) * (found - clip)[b, t, 0, y, x].item() ** 2 / 2
    assert objectives.moving_error(found, clip).item() == pytest.approx(expected)
    still = clip[:, :1].expand(-1, 3, -1, -1, -1)
    assert objectives.moving_error(found, still).item() == pytest.approx(objectives.squared_error(found, still).item())


def test_a_cycle_is_the_negative_log_density_of_the_code_that_was_drawn() -> None:
    mean, std, z_c = draw(4, 3), draw(4, 3, seed=1).exp(), draw(4, 3, seed=2)
    expected = 0.0
    for m, s, z in zip(mean.flatten().tolist(), std.flatten().tolist(), z_c.flatten().tolist(), strict=True):
        expected -= math.log(math.exp(-((z - m) ** 2) / (2 * s * s)) / (s * math.sqrt(2 * math.pi))) / 4
    assert objectives.cycle(Gaussian(mean, std), z_c).item() == pytest.approx(expected, rel=1e-9)


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


def test_over_time_is_what_numpy_says_of_each_recording_and_dimension() -> None:
    z_m = draw(3, 2 * 5 * 4, seed=1).view(3, 2, 5, 4)
    found = objectives.over_time(z_m)
    assert found.shape == (3, 12)
    for recording in range(3):
        for dimension in range(4):
            windows = z_m[recording, :, :, dimension].numpy()
            steps = np.concatenate([np.diff(windows[0]), np.diff(windows[1])])  # none from window to window
            expected = [windows.mean(), (windows**2).mean(), (steps**2).mean()]
            np.testing.assert_allclose(found[recording, dimension::4].numpy(), expected, rtol=1e-12)


def test_the_correlation_of_recordings_is_what_an_analysis_of_variance_says_and_0_where_they_are_not_told() -> None:
    speaker, said = draw(4000, 6, seed=2)[:, None], draw(4000, 12, seed=3).view(4000, 2, 6)
    share = torch.linspace(0, 1, 6).double()
    told = share.sqrt() * speaker + (1 - share).sqrt() * said
    assert objectives.recording_correlation(told).item() == pytest.approx(share.mean().item(), abs=0.02)
    assert objectives.recording_correlation(said).item() == pytest.approx(0, abs=0.02)
    between, within = told.mean(1).var(0), told.var(1).mean(0)  # Fisher's estimate
    expected = (2 * between - within) / (2 * between + within)
    assert objectives.recording_correlation(told).item() == pytest.approx(expected.mean().item(), abs=1e-3)
    scaled = told * torch.tensor([1, 10, 3, 1, 1, 1e4])
    assert objectives.recording_correlation(scaled).item() == pytest.approx(
        objectives.recording_correlation(told).item(), rel=1e-5
    )
    same = torch.ones(4, 2, 3, requires_grad=True)
    found = objectives.recording_correlation(same)
    found.backward()
    assert found.item() == 0
    assert same.grad is not None
    assert same.grad.isfinite().all()


def test_discriminators_descend_the_values_computed_by_hand() -> None:
    """Odds 3 and 1/3 are probabilities 3/4 and 1/4."""
    real, generated = torch.tensor([3.0, 1.0]).log(), torch.tensor([1 / 3, 1.0]).log()
    found = objectives.discriminator_loss(real, generated)
    assert found.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2)), rel=1e-6)
    found = objectives.generator_loss(generated)
    assert found.item() == pytest.approx(-(math.log(1 / 4) + math.log(1 / 2)) / 2, rel=1e-6)


def test_sure_discriminators_make_neither_nan_nor_a_vanishing_gradient() -> None:
    logits = torch.tensor([-1e4, 1e4], requires_grad=True)
    losses = [objectives.generator_loss(logits), objectives.discriminator_loss(logits, logits)]
    assert [loss.item() for loss in losses] == [5e3, 1e4]
    losses[0].backward()
    assert logits.grad is not None
    assert logits.grad.tolist() == [-0.5, 0.0]
