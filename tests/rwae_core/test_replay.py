"""Replays: rows filled up and cut, long roll-outs in parts, and on a GPU the same as without."""

import pytest
import torch

from rwae_core.motion import RecurrentPrior, Rollout, State
from rwae_core.replay import STEPS, Replay, ReplayedPrior, replayed
from tests.rwae_core.test_model import VARIANTS

DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="records on a GPU: run this where there is one"),
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [1, 3, 4, 5, 11])
def test_any_number_of_rows_is_that_of_the_function(rows: int, device: str) -> None:
    sizes = set[int]()

    def function(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        sizes.add(len(x))
        return x + y, x * y

    replay = Replay(function, most=4)
    for _ in range(2):  # what was there before must not show
        x, y = torch.rand(2, rows, 5, device=device)
        added, multiplied = replay(x, y)
        assert torch.equal(added, x + y)
        assert torch.equal(multiplied, x * y)
    assert sizes <= {1, 2, 4}


@pytest.mark.parametrize("device", DEVICES)
def test_an_answer_stays_when_the_next_is_computed(device: str) -> None:
    replay = Replay(lambda x: (2 * x,))
    (first,) = replay(torch.ones(3, 2, device=device))
    replay(torch.zeros(3, 2, device=device))
    assert torch.equal(first, torch.full((3, 2), 2.0, device=device))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("variant", ["paper", "prior-of-four", "residual-prior-of-four"])
@pytest.mark.parametrize("steps", [1, STEPS - 1, STEPS, 2 * STEPS + 3])
def test_a_replayed_roll_out_is_the_priors(steps: int, variant: str, device: str) -> None:
    torch.manual_seed(0)
    prior = RecurrentPrior(VARIANTS[variant]).eval().requires_grad_(False).to(device)
    replay = ReplayedPrior(prior)
    noise = prior.noise(3, steps, None, torch.zeros(1, device=device))
    start = torch.randn(3, prior.cell.hidden_size, device=device)
    last = torch.ones(3, prior.cell.input_size, device=device)
    for after in (prior.begin(noise), Rollout(last, State(start, start))):
        expected, end = prior.roll_out(noise, after)
        found, found_end = replay.roll_out(noise, after)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(found_end, end, rtol=1e-5, atol=1e-5)


def test_on_the_cpu_the_prior_stays_what_it_is() -> None:
    prior = RecurrentPrior(VARIANTS["paper"])
    assert replayed(prior) is prior
