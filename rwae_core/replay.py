"""A function of tensors on CUDA as recordings (CUDA graphs), one for each power of two of rows.

A roll-out is a thousand small kernels, which take longer to launch one by one than to run; a recording is launched at
once. It can be of one size only, so rows are filled up to the next that there is.

Shapes: B clips, T steps, Dm motion dimensions, H hidden units.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from rwae_core.motion import RecurrentPrior, Rollout, State

STEPS = 20
"""Steps of a roll-out that are recorded together; those that are left over are computed one by one."""


class Replay:
    """A function whose rows do not depend on each other, replayed.

    One thread at a time may call it: the recordings read and write their own memory.

    Args:
        function: Takes and gives tensors whose first dimension is the rows'; waits for nothing.
        most: Rows of the largest recording; more are computed in parts.
    """

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], most: int = 64) -> None:
        self._function, self._most = function, most
        self._recordings: dict[int, _Recording] = {}

    @torch.no_grad()
    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What the function gives for these rows."""
        rows = len(inputs[0])
        if rows > self._most:
            parts = [self(*part) for part in zip(*(each.split(self._most) for each in inputs), strict=True)]
            return tuple(torch.cat(each) for each in zip(*parts, strict=True))
        size = 1 << (rows - 1).bit_length()
        if size not in self._recordings:
            self._recordings[size] = _Recording(self._function, inputs, size)
        return self._recordings[size](inputs)


class _Recording:
    """The function of so many rows. On a CPU, where there is nothing to record, it is computed anew each time."""

    WARM_UP = 3

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], like: tuple[Tensor, ...], rows: int) -> None:
        self._function = function
        # Rows that nobody asked for are computed as well, on what was there before: at first on zeros.
        self._inputs = [each.new_zeros(rows, *each.shape[1:]) for each in like]
        self._graph = self._record() if like[0].is_cuda else None

    def __call__(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        rows = len(inputs[0])
        for held, given in zip(self._inputs, inputs, strict=True):
            held[:rows].copy_(given)
        if self._graph is None:
            return tuple(each[:rows] for each in self._function(*self._inputs))
        self._graph.replay()
        return tuple(each[:rows].clone() for each in self._outputs)

    def _record(self) -> torch.cuda.CUDAGraph:
        """Records after a few calls in which libraries choose their algorithms, beside the stream of the replays."""
        stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(self.WARM_UP):
                self._function(*self._inputs)
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._outputs = self._function(*self._inputs)
        return graph


class ReplayedPrior(RecurrentPrior):
    """A prior whose roll-outs are replayed; it shares the modules of the one that it is made of."""

    def __init__(self, prior: RecurrentPrior) -> None:
        torch.nn.Module.__init__(self)
        self.cell, self.head, self.first, self.residual = prior.cell, prior.head, prior.first, prior.residual
        self._steps = Replay(self._roll_on)

    def roll_out(self, noise: Float[Tensor, "B T E"], after: Rollout) -> tuple[Float[Tensor, "B T Dm"], Rollout]:
        """As of `RecurrentPrior`."""
        whole = noise.shape[1] - noise.shape[1] % STEPS
        codes = []
        for part in noise[:, :whole].split(STEPS, 1) if whole else ():
            drawn, hidden, cell = self._steps(part, after.z_m, *after.state)
            after = Rollout(drawn[:, -1], State(hidden, cell))
            codes.append(drawn)
        if whole < noise.shape[1]:
            drawn, after = super().roll_out(noise[:, whole:], after)
            codes.append(drawn)
        return torch.cat(codes, 1), after

    def _roll_on(self, noise: Tensor, z_m: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        codes, (_, state) = super().roll_out(noise, Rollout(z_m, State(hidden, cell)))
        return codes, *state


def replayed(prior: RecurrentPrior) -> RecurrentPrior:
    """The same prior, replayed where it is on CUDA."""
    return ReplayedPrior(prior) if prior.cell.weight_hh.is_cuda else prior
