"""The posterior of motion makes the steps that it is defined by, one after the other."""

import torch

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.motion import MotionPosterior

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


def _posterior() -> tuple[MotionPosterior, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    posterior = MotionPosterior(CONFIG).double()
    return posterior, torch.randn(4, 5, 6, dtype=torch.float64), torch.randn(4, 5, 2, dtype=torch.float64)
