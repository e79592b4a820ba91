"""The dynamic code: its posterior Q_φ(z^m_t | z^m_{<t}, x_t) and its learned recurrent prior P_ψ(z^m_t | z^m_{<t}).

Both are cells that make one step; whoever samples owns the loop and the generator.
Shapes: B clips, T steps, F features of a frame, Dm motion dimensions.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ModelConfig
from rwae_core.gaussian import Gaussian, GaussianHead, Generators, standard_normal


class State(NamedTuple):
    """Hidden and cell state of an LSTM."""

    hidden: Float[Tensor, "B H"]
    cell: Float[Tensor, "B H"]


class Rollout(NamedTuple):
    """Where a roll-out of the prior stands: its last code and the cell's state, all that the next step depends on."""

    z_m: Float[Tensor, "B Dm"]
    state: State


class MotionPosterior(nn.Module):
    """One step of Q_φ(z^m_t | z^m_{<t}, x_t): an LSTM cell on (h_t, z^m_{t−1}) and a Gaussian head (eq. 5)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(config.hidden_dim + config.motion_dim, config.hidden_dim)
        self.head = GaussianHead(config.hidden_dim, config.motion_dim)

    def forward(
        self, features: Float[Tensor, "B F"], previous: Float[Tensor, "B Dm"], state: State | None
    ) -> tuple[Gaussian, State]:
        after = State(*self.cell(torch.cat([features, previous], dim=-1), state))
        return self.head(after.hidden), after

    def along(self, features: Float[Tensor, "B T F"], z_m: Float[Tensor, "B T Dm"]) -> Gaussian:
        """Every step of given codes at once."""
        return self.head(_followed(self.cell, torch.cat([features, _previous(z_m)], -1)))


class RecurrentPrior(nn.Module):
    """One step of P_ψ(z^m_t | z^m_{<t}) = N(μ_ψ, σ²_ψ): an LSTM cell on z^m_{t−1} and a Gaussian head (eq. 4).

    The first step is given z^m_0 = 0.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(config.motion_dim, config.hidden_dim)
        self.head = GaussianHead(config.hidden_dim, config.motion_dim)

    def forward(self, previous: Float[Tensor, "B Dm"], state: State | None) -> tuple[Gaussian, State]:
        after = State(*self.cell(previous, state))
        return self.head(after.hidden), after

    def roll_out(
        self, noise: Float[Tensor, "B T Dm"], after: Rollout | None = None
    ) -> tuple[Float[Tensor, "B T Dm"], Rollout]:
        """z^m_t = μ_ψ + σ_ψ ε_t at T ≥ 1 steps, and where the roll-out then stands.

        Args:
            noise: ε_t.
            after: Where an earlier part ended; the clip's beginning where absent.
        """
        previous, state = (torch.zeros_like(noise[:, 0]), None) if after is None else after
        codes = []
        for step in noise.unbind(1):
            prior, state = self(previous, state)
            previous = prior.mean + prior.std * step
            codes.append(previous)
        return torch.stack(codes, 1), Rollout(previous, cast("State", state))

    def follow(self, z_m: Float[Tensor, "B T Dm"], after: Rollout | None = None) -> Rollout:
        """Where a roll-out stands after T ≥ 1 given codes."""
        previous, state = (torch.zeros_like(z_m[:, 0]), None) if after is None else after
        for code in z_m.unbind(1):
            _, state = self(previous, state)
            previous = code
        return Rollout(previous, cast("State", state))

    def along(self, z_m: Float[Tensor, "B T Dm"]) -> Gaussian:
        """Every step of given codes at once."""
        return self.head(_followed(self.cell, _previous(z_m)))


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


def motion_noise(shape: tuple[int, int, int], generator: Generators | None, like: Tensor) -> Float[Tensor, "B T Dm"]:
    """ε ~ N(0, I) of every step, drawn step by step: one draw for all would depend on how many steps there are."""
    clips, steps, dim = shape
    return torch.stack([standard_normal((clips, dim), generator, like) for _ in range(steps)], 1)
