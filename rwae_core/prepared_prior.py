"""The prior as it is rolled out where nothing is learned: the same steps, in as few operations as a processor allows.

Shapes: B clips, T steps, Dm motion dimensions, H hidden units, K components, E what a step is drawn with.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import override

from rwae_core.gaussian import GaussianHead
from rwae_core.mixture import MixtureHead
from rwae_core.motion import RecurrentPrior, Rollout, State


class PreparedPrior(RecurrentPrior):
    """A prior whose roll-outs are quick on a processor; it shares the modules of the one that it is made of.

    A step there is some forty operations on a few rows, each of which takes longer to start than to run. Here it is
    half as many, and they write where the next one reads. With σ(x) = (1 + tanh(x / 2)) / 2 one tanh does all gates:
    c_t = ((1 + f) c_{t−1} + (1 + i) g) / 2, and what is told to the next step and the head is 2h_t = (1 + o) tanh c_t.
    Codes are the prior's to rounding (1e-5); so is which component of a mixture is drawn, where two are not as likely.
    """

    @torch.no_grad()
    def __init__(self, prior: RecurrentPrior) -> None:
        nn.Module.__init__(self)
        self.cell, self.head, self.first, self.residual = prior.cell, prior.head, prior.first, prior.residual
        cell, dim = prior.cell, prior.cell.input_size
        entry, kept, new, shown = torch.cat(
            [cell.weight_hh / 2, cell.weight_ih, (cell.bias_hh + cell.bias_ih)[:, None]], 1
        ).chunk(4)
        gates = torch.cat([entry / 2, kept / 2, shown / 2, new])
        self.gates, self.gates_bias = gates[:, :-1].t().contiguous(), gates[:, -1].contiguous()

        head = prior.head
        gaussians = head.gaussians.linear if isinstance(head, MixtureHead) else head.linear
        said = torch.cat([gaussians.weight / 2, gaussians.bias[:, None]], 1)
        mean, log_std = said.unflatten(0, (2, -1, dim))  # K, Dm
        said = torch.cat([mean, log_std / GaussianHead.LOG_STD_LIMIT], 1)  # of each component both
        self.said, self.said_bias = said[..., :-1].contiguous(), said[..., -1].contiguous()
        if isinstance(head, MixtureHead):
            self.weights, self.weights_bias = (head.weights.weight / 2).t().contiguous(), head.weights.bias

    @override
    @torch.no_grad()
    def roll_out(self, noise: Float[Tensor, "B T E"], after: Rollout) -> tuple[Float[Tensor, "B T Dm"], Rollout]:
        """As of `RecurrentPrior`."""
        hidden, dim, (clips, steps, width) = self.cell.hidden_size, self.cell.input_size, noise.shape
        epsilon, gumbel = noise.transpose(0, 1).split([dim, width - dim], 2)
        mixed = isinstance(self.head, MixtureHead)
        if mixed:
            gumbel = gumbel + self.weights_bias
        told = torch.cat([2 * after.state.hidden, after.z_m], 1)
        state, code = told.tensor_split([hidden], 1)
        memory, gates = after.state.cell.clone(), noise.new_empty(clips, 4 * hidden)
        doubled, new = gates.tensor_split([3 * hidden], 1)
        entry, kept, shown = doubled.chunk(3, 1)
        codes = noise.new_empty(steps, clips, dim)
        for eps, log_odds, found in zip(epsilon, gumbel, codes, strict=True):
            torch.addmm(self.gates_bias, told, self.gates, out=gates).tanh_()
            doubled.add_(1)
            memory.mul_(kept).addcmul_(entry, new).div_(2)
            torch.tanh(memory, out=state).mul_(shown)
            drawn = torch.addmm(log_odds, state, self.weights).argmax(1) if mixed else None
            mean, log_std = self._mean_and_log_std(state, drawn).chunk(2, 1)
            if self.residual:
                mean.add_(code)
            torch.addcmul(mean, log_std.tanh_().mul_(GaussianHead.LOG_STD_LIMIT).exp_(), eps, out=code)
            found.copy_(code)
        return codes.transpose(0, 1), Rollout(code.clone(), State(state / 2, memory))

    def _mean_and_log_std(
        self, state: Float[Tensor, "B H"], drawn: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "B 2*Dm"]:
        """Mean and bounded ln(std), where there are several of the component that is drawn."""
        if len(state) == 1 or drawn is None:  # all of them are as many bytes as the gates' weights
            only = 0 if drawn is None else int(drawn)
            return torch.addmm(self.said_bias[only], state, self.said[only].t())
        said = torch.addmm(self.said_bias.flatten(), state, self.said.flatten(0, 1).t())
        return said.unflatten(1, self.said_bias.shape)[torch.arange(len(state)), drawn]
