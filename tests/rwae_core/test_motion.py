"""The posterior of motion makes the steps that it is defined by, one after the other; so does the prior."""

import torch

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.gaussian import Gaussian
from rwae_core.mixture import Mixture
from rwae_core.motion import MotionPosterior, RecurrentPrior

FRAMES = SimpleFrames(network="simple", size=16, channels=1, encoder_widths=[4, 4], decoder_widths=[4, 4])
CONFIG = ModelConfig(frames=5, fps=8, content_dim=3, motion_dim=2, hidden_dim=6, frame_networks=FRAMES)


def test_every_step_is_the_cells_on_its_features_and_the_draw_before() -> None:
    posterior, features, noise = _posterior()
    found, z_m = posterior(features, noise)
    previous, state = features.new_zeros(4, 2), None
    for step in range(5):
        state = posterior.cell(torch.cat([features[:, step], previous], 1), state)
        expected = posterior.head(state[0])
        torch.testing.assert_close(found.mean[:, step], expected.mean)
        torch.testing.assert_close(found.std[:, step], expected.std)
        previous = expected.mean + expected.std * noise[:, step]
        torch.testing.assert_close(z_m[:, step], previous)


def test_its_gradients_are_those_of_the_steps() -> None:
    posterior, features, noise = _posterior()
    weights = torch.randn(3, 4, 5, 2, dtype=torch.float64)

    def gradients(mean: list[torch.Tensor], std: list[torch.Tensor], z_m: list[torch.Tensor]) -> list[torch.Tensor]:
        said = [torch.stack(each, 1) for each in (mean, std, z_m)]
        told = [features, *posterior.parameters()]
        return list(torch.autograd.grad(sum((w * s).sum() for w, s in zip(weights, said, strict=True)), told))

    features.requires_grad_(True)
    found, z_m = posterior(features, noise)
    ours = gradients(list(found.mean.unbind(1)), list(found.std.unbind(1)), list(z_m.unbind(1)))
    previous, state, means, stds, draws = features.new_zeros(4, 2), None, [], [], []
    for step in range(5):
        state = posterior.cell(torch.cat([features[:, step], previous], 1), state)
        said = posterior.head(state[0])
        previous = said.mean + said.std * noise[:, step]
        means.append(said.mean)
        stds.append(said.std)
        draws.append(previous)
    for one, other in zip(ours, gradients(means, stds, draws), strict=True):
        torch.testing.assert_close(one, other)


def test_without_noise_it_follows_its_means() -> None:
    posterior, features, noise = _posterior()
    found, z_m = posterior(features, None)
    assert torch.equal(z_m, found.mean)
    torch.testing.assert_close(posterior(features, torch.zeros_like(noise))[1], z_m)


def test_given_its_own_draws_it_says_the_same_along_them() -> None:
    posterior, features, noise = _posterior()
    found, z_m = posterior(features, noise)
    again = posterior.along(features, z_m)
    torch.testing.assert_close(again.mean, found.mean)
    torch.testing.assert_close(again.std, found.std)


def test_in_bfloat16_codes_and_memory_stay_float32() -> None:
    posterior, features, noise = _posterior()
    posterior = posterior.float()
    with torch.autocast("cpu", torch.bfloat16):
        found, z_m = posterior(features.float(), noise.float())
    exact, _ = posterior.double()(features, noise)
    assert found.mean.dtype == found.std.dtype == z_m.dtype == torch.float32
    assert (found.mean - exact.mean).abs().max() < 0.02


def test_in_bfloat16_its_gradients_are_close() -> None:
    posterior, features, noise = _posterior()

    def gradient(seen: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        found, z_m = posterior(seen, told)
        parameters = list(posterior.parameters())
        each = torch.autograd.grad((z_m.square() + found.mean + found.std).sum(), parameters)
        return torch.cat([one.flatten() for one in each]).double()

    exact = gradient(features, noise)
    posterior.float()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = gradient(features.float(), noise.float())
    assert (rounded - exact).norm() < 0.02 * exact.norm()


def test_a_residual_prior_says_how_a_code_differs_from_the_one_before() -> None:
    torch.manual_seed(0)
    told = CONFIG.model_copy(update={"prior_components": 3, "prior_residual": True})
    prior, plain = RecurrentPrior(told), RecurrentPrior(told.model_copy(update={"prior_residual": False}))
    plain.load_state_dict(prior.state_dict())
    z_m = torch.randn(4, 5, 2)
    found, differences = prior.along(z_m), plain.along(z_m)
    assert isinstance(found, Mixture)
    assert isinstance(differences, Mixture)
    before = torch.cat([torch.zeros(4, 1, 2), z_m[:, :-1]], 1)
    torch.testing.assert_close(found.components.mean, before[:, :, None] + differences.components.mean)
    torch.testing.assert_close(found.components.std, differences.components.std)
    torch.testing.assert_close(found.log_weights, differences.log_weights)
    noise = prior.noise(4, 5, torch.Generator().manual_seed(0), z_m)
    codes, _ = prior.roll_out(noise, prior.begin(z_m))
    torch.testing.assert_close(prior.along(codes).draw(noise), codes)


def test_a_fitted_prior_goes_every_way_that_first_steps_go_and_none_between() -> None:
    source = torch.Generator().manual_seed(0)
    ways = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    start = 3 * torch.randn(2000, 2, generator=source)
    mean = torch.stack([start, start + ways[torch.randint(4, (2000,), generator=source)]], 1)
    torch.manual_seed(0)
    prior = RecurrentPrior(CONFIG.model_copy(update={"prior_components": 8, "prior_residual": True}))
    prior.fit(Gaussian(mean, torch.full_like(mean, 0.05)))
    drawn, _ = prior.roll_out(prior.noise(1000, 2, source, mean), prior.begin(mean[:1000]))
    apart = torch.cdist(drawn[:, 1] - drawn[:, 0], ways)
    assert apart.amin(1).quantile(0.99) < 0.3
    torch.testing.assert_close(
        torch.bincount(apart.argmin(1), minlength=4) / 1000, torch.full((4,), 0.25), atol=0.05, rtol=0
    )


def test_a_prior_of_one_gaussian_has_nothing_to_begin_at() -> None:
    prior = RecurrentPrior(CONFIG.model_copy(update={"prior_residual": True}))
    before = {name: tensor.clone() for name, tensor in prior.state_dict().items()}
    codes = torch.randn(3, 2, 2)
    prior.fit(Gaussian(codes, torch.ones_like(codes)))
    assert all(torch.equal(before[name], tensor) for name, tensor in prior.state_dict().items())


def _posterior() -> tuple[MotionPosterior, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    posterior = MotionPosterior(CONFIG).double()
    return posterior, torch.randn(4, 5, 6, dtype=torch.float64), torch.randn(4, 5, 2, dtype=torch.float64)
