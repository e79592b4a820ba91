"""A diagonal Gaussian as a value: what posteriors and the prior return.

`torch.distributions.Normal` cannot sample from a `torch.Generator`, which is all that this adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.precision import at_least_single

Generators = torch.Generator | Sequence[torch.Generator]
"""One generator for a whole batch, or one for each of its rows (so that a row does not depend on its neighbours)."""


def standard_normal(shape: Sequence[int], generator: Generators | None, like: Tensor) -> Tensor:
    """Draws N(0, I) of `shape`, on the device and in the type of `like`.

    Noise is drawn where the generator lives and then moved, so a CPU generator gives every device the same draw.
    With a sequence of generators, row i of the result comes from the i-th alone.
    """
    if generator is None or isinstance(generator, torch.Generator):
        device = like.device if generator is None else generator.device
        noise = torch.randn(tuple(shape), generator=generator, device=device)
    else:
        if len(generator) != shape[0]:
            raise ValueError(f"{len(generator)} generators for {shape[0]} rows; give one for each row")
        noise = torch.stack([torch.randn(tuple(shape[1:]), generator=g, device=g.device) for g in generator])
    return noise.to(like)


def standard_normals(rows: int, widths: Sequence[int], generator: Generators | None, like: Tensor) -> Tensor:
    """What `standard_normal` draws of (rows, width), one width after the other, side by side: (rows, Σ widths).

    More of them begin as fewer do, which a single draw of all does not.
    """
    if generator is None or isinstance(generator, torch.Generator):
        return torch.cat([standard_normal((rows, width), generator, like) for width in widths], 1)
    if len(generator) != rows:
        raise ValueError(f"{len(generator)} generators for {rows} rows; give one for each row")
    return torch.cat([standard_normals(1, widths, each, like) for each in generator])


@dataclass(frozen=True)
class Gaussian:
    """N(mean, std²) with independent entries; `mean` and `std` share a shape, `std` is positive."""

    mean: Float[Tensor, "*batch D"]
    std: Float[Tensor, "*batch D"]

    def sample(self, generator: Generators | None = None, temperature: float = 1.0) -> Float[Tensor, "*batch D"]:
        """Reparametrised draw, mean + temperature · std · ε with ε ~ N(0, I)."""
        return self.mean + temperature * self.std * standard_normal(self.mean.shape, generator, self.mean)

    def draw(self, noise: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Mean + std · ε of given ε ~ N(0, I), scaled by a temperature or not."""
        return self.mean + self.std * noise

    def shifted(self, by: Float[Tensor, "*batch D"]) -> Gaussian:
        """N(mean + by, std²)."""
        return Gaussian(self.mean + by, self.std)

    def kl(self, other: Gaussian) -> Float[Tensor, "*batch D"]:
        """KL(self ‖ other) of each entry, in nats: ln(σ₂/σ₁) + (σ₁² + (μ₁ − μ₂)²) / 2σ₂² − ½."""
        ratio = self.std / other.std
        shift = (self.mean - other.mean) / other.std
        return (ratio.square() + shift.square() - 1) / 2 - ratio.log()

    def kl_of(self, posterior: Gaussian) -> Float[Tensor, "*batch"]:
        """KL(posterior ‖ self) of all entries together, in nats."""
        return posterior.kl(self).sum(-1)

    def standard_kl(self) -> Float[Tensor, "*batch D"]:
        """KL(self ‖ N(0, 1)) of each entry, in nats."""
        return (self.std.square() + self.mean.square() - 1) / 2 - self.std.log()


class GaussianHead(nn.Module):
    """Linear map from features to a Gaussian; the standard deviation is exp(s), s softly kept in ±`LOG_STD_LIMIT`."""

    LOG_STD_LIMIT = 6.0

    def __init__(self, features: int, dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, 2 * dim)

    def forward(self, features: Float[Tensor, "*batch F"]) -> Gaussian:
        mean, log_std = at_least_single(self.linear(features)).chunk(2, dim=-1)
        limit = self.LOG_STD_LIMIT
        return Gaussian(mean, (limit * torch.tanh(log_std / limit)).exp())

    def noise(self, rows: int, steps: int, generator: Generators | None, like: Tensor) -> Float[Tensor, "rows T D"]:
        """What `Gaussian.draw` takes, drawn step by step."""
        dim = self.linear.out_features // 2
        return standard_normals(rows, [dim] * steps, generator, like).view(rows, steps, dim)
