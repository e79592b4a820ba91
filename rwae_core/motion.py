"""The dynamic code: its posterior Q_φ(z^m_t | z^m_{<t}, x_t) and its learned recurrent prior P_ψ(z^m_t | z^m_{<t}).

The prior is a cell that makes one step, or many; whoever samples owns the generator.
Shapes: B clips, T steps, F features of a frame, Dm motion dimensions, A actions, E what a step of the prior is drawn
with.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ModelConfig
from rwae_core.errors import ShapeError
from rwae_core.gaussian import Gaussian, GaussianHead, Generators
from rwae_core.mixture import Mixture, MixtureHead, fitted
from rwae_core.precision import at_least_single
from rwae_core.recursion import Recursion


class State(NamedTuple):
    """Hidden and cell state of an LSTM."""

    hidden: Float[Tensor, "B H"]
    cell: Float[Tensor, "B H"]


class Rollout(NamedTuple):
    """Where a roll-out of the prior stands: its last code and the cell's state, all that the next step depends on."""

    z_m: Float[Tensor, "B Dm"]
    state: State


class MotionPosterior(nn.Module):
    """Q_φ(z^m_t | z^m_{<t}, x_t): an LSTM cell on (h_t, z^m_{t−1}) and a Gaussian head (eq. 5)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(config.hidden_dim + config.motion_dim, config.hidden_dim)
        self.head = GaussianHead(config.hidden_dim, config.motion_dim)

    def forward(
        self, features: Float[Tensor, "B T F"], noise: Float[Tensor, "B T Dm"] | None
    ) -> tuple[Gaussian, Float[Tensor, "B T Dm"]]:
        """Every step, and the draw that `noise` makes of it (without: its means), which the next step is told."""
        cell, head, limit = self.cell, self.head.linear, self.head.LOG_STD_LIMIT
        of_features, of_previous = cell.weight_ih.tensor_split([features.shape[2]], 1)
        # What no draw is needed for is a single product; the rest is another one of each step.
        given = functional.linear(features.transpose(0, 1), of_features, cell.bias_ih + cell.bias_hh)
        if noise is None:
            noise = at_least_single(given.new_zeros(*features.shape[:2], of_previous.shape[1]))
        found: tuple[Tensor, Tensor, Tensor] = Recursion.apply(  # type: ignore[no-untyped-call]
            given,
            torch.cat([cell.weight_hh, of_previous], 1),
            *(torch.cat([mean, log_std / limit]) for mean, log_std in (head.weight.chunk(2), head.bias.chunk(2))),
            noise.transpose(0, 1),
            limit,
        )
        mean, std, draws = (each.transpose(0, 1) for each in found)
        return Gaussian(mean, std), draws

    def along(self, features: Float[Tensor, "B T F"], z_m: Float[Tensor, "B T Dm"]) -> Gaussian:
        """Every step of given codes at once."""
        return self.head(_followed(self.cell, torch.cat([features, _previous(z_m)], -1)))


class RecurrentPrior(nn.Module):
    """One step of P_ψ(z^m_t | z^m_{<t}): an LSTM cell on z^m_{t−1} and a head (eq. 4). The first is given z^m_0 = 0.

    The paper's is N(μ_ψ, σ²_ψ). With `prior_components` it is a mixture of Gaussians, where a step may go several
    ways: one Gaussian over all of them has most of its mass between them, where nothing is real. With `prior_residual`
    the head's means are those of z^m_t − z^m_{t−1}. With `prior_action` it is P_ψ(z^m_t | z^m_{<t}, a): z^m_0 is a
    linear map of the action.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        features, dim, components = config.hidden_dim, config.motion_dim, config.prior_components
        self.cell = nn.LSTMCell(dim, features)
        self.head = MixtureHead(features, dim, components) if components > 1 else GaussianHead(features, dim)
        self.first = nn.Linear(config.actions, dim, bias=False) if config.prior_action else None
        self.residual = config.prior_residual

    @torch.no_grad()
    def fit(self, codes: Gaussian) -> None:
        """Begins a residual mixture at the steps from each clip's first code to its second, where any way is open.

        A gradient seldom leads there: one component covers all ways, and the others, which no step is near, stay away.

        Args:
            codes: Posteriors (N, T, Dm) of clips, N ≥ `prior_components`, T ≥ 2.
        """
        if not isinstance(self.head, MixtureHead):
            return
        before, after = (Gaussian(codes.mean[:, step], codes.std[:, step]) for step in (0, 1))
        steps = Gaussian(after.mean - before.mean, (after.std.square() + before.std.square()).sqrt())
        self.head.begin(fitted(steps, self.head.components))

    def forward(self, previous: Float[Tensor, "B Dm"], state: State) -> tuple[Gaussian | Mixture, State]:
        after = State(*self.cell(previous, state))
        return self._said(after.hidden, previous), after

    def noise(self, clips: int, steps: int, generator: Generators | None, like: Tensor) -> Float[Tensor, "B T E"]:
        """What each step is drawn with, drawn step by step: one draw for all would depend on how many there are."""
        return self.head.noise(clips, steps, generator, like)

    def roll_out(self, noise: Float[Tensor, "B T E"], after: Rollout) -> tuple[Float[Tensor, "B T Dm"], Rollout]:
        """z^m_t at T ≥ 1 steps, μ_ψ + σ_ψ ε_t, and where the roll-out then stands.

        Args:
            noise: ε_t, of `noise`, scaled by a temperature.
            after: Where an earlier part ended, or `begin`.
        """
        previous, state = after
        codes = []
        for step in noise.unbind(1):
            prior, state = self(previous, state)
            previous = prior.draw(step)
            codes.append(previous)
        return torch.stack(codes, 1), Rollout(previous, state)

    def follow(self, z_m: Float[Tensor, "B T Dm"], after: Rollout) -> Rollout:
        """Where a roll-out stands after T ≥ 1 given codes."""
        previous, state = after
        for code in z_m.unbind(1):
            _, state = self(previous, state)
            previous = code
        return Rollout(previous, state)

    def along(self, z_m: Float[Tensor, "B T Dm"], action: Float[Tensor, "B A"] | None = None) -> Gaussian | Mixture:
        """Every step of given codes at once."""
        before = _previous(z_m)
        if self.first is not None:
            before = torch.cat([self._start(before, action)[:, None], before[:, 1:]], 1)
        return self._said(_followed(self.cell, before), before)

    def _said(self, hidden: Float[Tensor, "*batch H"], before: Float[Tensor, "*batch Dm"]) -> Gaussian | Mixture:
        found: Gaussian | Mixture = self.head(hidden)
        return found.shifted(before) if self.residual else found

    def begin(self, like: Float[Tensor, "B ..."], action: Float[Tensor, "B A"] | None = None) -> Rollout:
        """Where the roll-outs of so many clips stand before their first step.

        Args:
            like: What has B rows, on the device and in the type of the codes.
            action: Of each; not looked at unless the prior is told it.
        """
        silent = like.new_zeros(len(like), self.cell.hidden_size)
        return Rollout(self._start(like, action), State(silent, silent))

    def _start(self, like: Float[Tensor, "B ..."], action: Float[Tensor, "B A"] | None) -> Float[Tensor, "B Dm"]:
        """z^m_0."""
        if self.first is None:
            return like.new_zeros(len(like), self.cell.input_size)
        if action is None:
            raise ShapeError("this prior is told the action; give one for each clip")
        return at_least_single(self.first(action))


def _previous(z_m: Float[Tensor, "B T Dm"]) -> Float[Tensor, "B T Dm"]:
    return functional.pad(z_m[:, :-1], (0, 0, 1, 0))


def _followed(cell: nn.LSTMCell, inputs: Float[Tensor, "B T D"]) -> Float[Tensor, "B T H"]:
    """Hidden states of a cell: where nothing is drawn, a library's LSTM knows all that it is fed."""
    start = inputs.new_zeros(1, len(inputs), cell.hidden_size)
    hidden, _, _ = torch.lstm(
        inputs,
        (start, start),
        [cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh],
        has_biases=True,
        num_layers=1,
        dropout=0.0,
        train=cell.training,
        bidirectional=False,
        batch_first=True,
    )
    return hidden
