"""The prepared prior rolls out what the prior does."""

import pytest
import torch

from rwae_core.motion import RecurrentPrior, Rollout, State
from rwae_core.prepared_prior import PreparedPrior
from tests.rwae_core.test_model import VARIANTS


def priors(variant: str) -> tuple[RecurrentPrior, PreparedPrior]:
    torch.manual_seed(0)
    prior = RecurrentPrior(VARIANTS[variant]).double().eval().requires_grad_(False)
    return prior, PreparedPrior(prior)


def variants() -> list[str]:
    """One of each kind of head, one that is told the action, and one whose steps are told as differences, too."""
    return ["paper", "prior-of-four", "told-actions", "residual-prior-of-four"]


@pytest.mark.parametrize("variant", variants())
@pytest.mark.parametrize("clips", [1, 3])
def test_roll_outs_are_the_priors(variant: str, clips: int) -> None:
    prior, prepared = priors(variant)
    like = torch.zeros(clips, 1, dtype=torch.float64)
    noise = prior.noise(clips, 30, torch.Generator().manual_seed(0), like)
    actions = VARIANTS[variant].actions
    action = torch.eye(actions, dtype=torch.float64)[torch.arange(clips) % actions] if actions else None
    state = torch.randn(clips, prior.cell.hidden_size, dtype=torch.float64)
    later = Rollout(torch.ones(clips, prior.cell.input_size, dtype=torch.float64), State(state, state.flip(0)))
    for after in (prior.begin(like, action), later):
        expected, end = prior.roll_out(noise, after)
        found, found_end = prepared.roll_out(noise, after)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(found_end, end)


def test_a_roll_out_in_parts_is_the_whole_and_leaves_where_it_began_alone() -> None:
    prior, prepared = priors("prior-of-four")
    noise = prior.noise(2, 12, torch.Generator().manual_seed(0), torch.zeros(1, dtype=torch.float64))
    start = prepared.begin(noise)
    whole, end = prepared.roll_out(noise, start)
    first, middle = prepared.roll_out(noise[:, :5], start)
    kept = middle.z_m.clone(), middle.state.hidden.clone(), middle.state.cell.clone()
    second, last = prepared.roll_out(noise[:, 5:], middle)
    torch.testing.assert_close(torch.cat([first, second], 1), whole)
    torch.testing.assert_close(last, end)
    assert all(torch.equal(a, b) for a, b in zip(kept, (middle.z_m, *middle.state), strict=True))
