"""The posterior's steps, each told the draw of the one before it, as one function with its own gradient.

A step is a dozen operations on a few rows, which take longer to start than to run. Here they are few and write where
they are read, and what the gradient needs of all steps is computed at once.

Shapes: B clips, T steps, H hidden units, Dm motion dimensions.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


class Recursion(torch.autograd.Function):
    """Steps of an LSTM (i, f, g and o are its gates, c its memory) and the Gaussians N(μ_t, σ_t²) that they say.

    Args (of `apply`):
        given: What the gates are told from outside (T, B, 4H), biases included, in what products are computed in.
        recurrent: The gates' weights (4H, H + Dm) of h_{t−1} and z^m_{t−1}, both 0 before the first step.
        head: The weights (2 Dm, H) of h_t that say μ_t, and (ln σ_t) / limit before the tanh that bounds it.
        bias: Of both (2 Dm).
        noise: ε_t (T, B, Dm) of the draws z^m_t = μ_t + σ_t ε_t.
        limit: What |ln σ_t| stays under.

    Returns (of `apply`):
        μ_t, σ_t and z^m_t, each (T, B, Dm).
    """

    @staticmethod
    def forward(  # noqa: PLR0917 (`apply` takes no names)
        ctx: Any,
        given: Float[Tensor, "T B G"],
        recurrent: Float[Tensor, "G I"],
        head: Float[Tensor, "E H"],
        bias: Float[Tensor, " E"],
        noise: Float[Tensor, "T B Dm"],
        limit: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        steps, clips, _ = given.shape
        hidden, dim = head.shape[1], noise.shape[2]
        told = noise.new_zeros(steps + 1, clips, hidden + dim)
        memory = noise.new_zeros(steps + 1, clips, hidden)
        gates, bounded = torch.empty_like(given, dtype=noise.dtype), noise.new_empty(steps, clips, hidden)
        recurrent = recurrent.to(given.dtype)
        found, stds = noise.new_empty(steps, clips, 2 * dim), torch.empty_like(noise)
        weights, of_head, kinds = recurrent.t(), head.t(), [2 * hidden, hidden, hidden]
        each = zip(told, given, gates, memory, memory[1:], bounded, found, stds, noise, told[1:], strict=False)
        for before, now, gate, cell, after, shown, said, std, epsilon, next_told in each:
            both, new, out = gate.copy_(torch.addmm(now, before.to(now.dtype), weights)).split(kinds, 1)
            entry, kept = both.sigmoid_().chunk(2, 1)
            torch.mul(cell, kept, out=after).addcmul_(entry, new.tanh_())
            state, draw = next_told.tensor_split([hidden], 1)
            torch.mul(torch.tanh(after, out=shown), out.sigmoid_(), out=state)
            mean, log_std = torch.addmm(bias, state, of_head, out=said).chunk(2, 1)
            torch.mul(log_std.tanh_(), limit, out=std).exp_()
            torch.addcmul(mean, std, epsilon, out=draw)
        ctx.limit = limit
        ctx.save_for_backward(recurrent, head, noise, told, memory, gates, bounded, found, stds)
        return found[..., :dim].clone(), stds.clone(), told[1:, :, hidden:].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_mean: Tensor, of_std: Tensor, of_draw: Tensor) -> tuple[Tensor | None, ...]:
        recurrent, head, noise, told, memory, gates, bounded, found, stds = ctx.saved_tensors
        hidden, dim = bounded.shape[2], noise.shape[2]
        entry, kept, new, out = gates.chunk(4, 2)
        # What a unit of c_t is worth to the gates before i, f and g, one of h_t to c_t and to the gate before o, and
        # one of z^m_t to what the head says.
        by_memory = torch.empty_like(gates[..., : 3 * hidden])
        of_entry, of_kept, of_new = by_memory.chunk(3, 2)
        torch.mul(new, entry, out=of_entry).addcmul_(of_entry, entry, value=-1)
        torch.mul(memory[:-1], kept, out=of_kept).addcmul_(of_kept, kept, value=-1)
        torch.mul(entry, new, out=of_new).mul_(new).neg_().add_(entry)
        of_out = bounded * out
        by_state = torch.addcmul(out, of_out, bounded, value=-1)
        of_out.addcmul_(of_out, out, value=-1)
        of_log_std = ctx.limit * stds * (1 - found[..., dim:].square())
        by_draw = torch.cat([torch.ones_like(noise), of_log_std * noise], 2)
        of_said = torch.cat([of_mean, of_log_std * of_std], 2).addcmul_(by_draw, of_draw.repeat(1, 1, 2))

        of_gates = torch.empty_like(gates)
        of_told, of_cell = torch.zeros_like(told[0]), torch.zeros_like(memory[0])
        for step in reversed(range(len(gates))):
            of_state, of_previous = of_told.tensor_split([hidden], 1)
            said = of_said[step].unflatten(1, (2, dim))
            said.addcmul_(by_draw[step].unflatten(1, (2, dim)), of_previous[:, None])
            state = torch.addmm(of_state, of_said[step], head)
            of_cell.addcmul_(state, by_state[step])
            for_memory, for_out = of_gates[step].tensor_split([3 * hidden], 1)
            torch.mul(
                by_memory[step].unflatten(1, (3, hidden)), of_cell[:, None], out=for_memory.unflatten(1, (3, hidden))
            )
            torch.mul(of_out[step], state, out=for_out)
            of_told = torch.mm(of_gates[step].to(recurrent.dtype), recurrent).to(told.dtype)
            of_cell.mul_(kept[step])
        of_given, said = of_gates.to(recurrent.dtype), of_said.flatten(0, 1)
        of_recurrent = of_given.flatten(0, 1).t() @ told[:-1].flatten(0, 1).to(recurrent.dtype)
        of_head = said.t() @ told[1:, :, :hidden].flatten(0, 1)
        return of_given, of_recurrent.to(told.dtype), of_head, said.sum(0), None, None
