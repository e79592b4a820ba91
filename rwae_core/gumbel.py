"""A Gumbel-softmax distribution as a value: a one-hot vector, relaxed so that gradients pass (Jang et al. 2016).

Shapes: A categories.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from rwae_core.gaussian import Generators, standard_normal


def standard_gumbel(shape: Sequence[int], generator: Generators | None, like: Tensor) -> Tensor:
    """Draws Gumbel(0, 1) of `shape`."""
    return gumbel_of(standard_normal(shape, generator, like))


def gumbel_of(normal: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Gumbel(0, 1) of draws ε ~ N(0, 1), −ln(−ln Φ(ε))."""
    uniform = torch.special.ndtr(normal)
    # Away from 0 and 1, where float32 would give an infinite value.
    return -(-uniform.clamp(1e-6, 1 - 1e-6).log()).log()


@dataclass(frozen=True)
class GumbelSoftmax:
    """Category i with probability α_i = softmax(`logits`)_i, relaxed at a `temperature` τ > 0 (section 3.4)."""

    logits: Float[Tensor, "*batch A"]
    temperature: float | Tensor = 1.0

    @property
    def probabilities(self) -> Float[Tensor, "*batch A"]:
        """α, what the draws tend to count as τ → 0."""
        return self.logits.softmax(-1)

    def log_sample(self, generator: Generators | None = None) -> Float[Tensor, "*batch A"]:
        """Logarithm of a draw ã = softmax((ln α + g) / τ), g ~ Gumbel(0, 1); ã itself may underflow."""
        gumbel = standard_gumbel(self.logits.shape, generator, self.logits)
        return functional.log_softmax((functional.log_softmax(self.logits, -1) + gumbel) / self.temperature, -1)

    def log_ratio(self, log_action: Float[Tensor, "*batch A"]) -> Float[Tensor, "*batch"]:
        """Ln q(ã) − ln p(ã) against the uniform Gumbel-softmax p of the same temperature, in nats.

        With the density Γ(A) τ^{A−1} (Σ_i α_i ã_i^{−τ})^{−A} Π_i α_i ã_i^{−τ−1} (Maddison et al. 2016) what does not
        depend on α cancels: Σ_i ln(A α_i) − A ln(Σ_i α_i ã_i^{−τ} / Σ_i ã_i^{−τ} A^{−1}). Its mean over draws of q is
        KL(q ‖ p), which has no closed form.
        """
        count = self.logits.shape[-1]
        log_alpha = functional.log_softmax(self.logits, -1)
        powers = -self.temperature * log_action
        ratio = (log_alpha + powers).logsumexp(-1) - powers.logsumexp(-1) + log(count)
        return (log_alpha + log(count)).sum(-1) - count * ratio
