"""A mixture of diagonal Gaussians as a value: a prior of motion or content that may go several ways.

Shapes: B clips, K components, D dimensions, Dc of content, E what a draw is made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from rwae_core.config import ModelConfig
from rwae_core.gaussian import Gaussian, GaussianHead, Generators, standard_normal, standard_normals
from rwae_core.gumbel import gumbel_of, standard_gumbel
from rwae_core.precision import at_least_single

EM_STEPS = 50
"""Steps in which a mixture is fitted; on human actions it is then 0.013 nats from where it ends (after 10, 0.05)."""
WIDER = (0.0, 0.03, 0.1, 0.25, 0.5, 1.0)
"""Shares of the codes' variance by which a fitted mixture may be wider than what it was fitted to."""


@dataclass(frozen=True)
class Mixture:
    """Σ_k π_k N(mean_k, std_k²), Σ_k π_k = 1; a draw is of one component in all its dimensions."""

    log_weights: Float[Tensor, "*batch K"]
    components: Gaussian

    def draw(self, noise: Float[Tensor, "*batch D+K"]) -> Float[Tensor, "*batch D"]:
        """A draw of the component that argmax_k(ln π_k + g_k) chooses, mean + std · ε (Gumbel-max).

        Args:
            noise: ε ~ N(0, I), then g ~ Gumbel(0, 1). Both times a temperature τ, deviations are scaled by it and the
                weights are as π^{1/τ}: at 0 it is the mean of the likeliest component.
        """
        mean, std = self.components.mean, self.components.std
        epsilon, gumbel = noise.split([mean.shape[-1], mean.shape[-2]], -1)
        chosen = (self.log_weights + gumbel).argmax(-1)[..., None, None].expand(*mean.shape[:-2], 1, mean.shape[-1])
        return mean.gather(-2, chosen).squeeze(-2) + std.gather(-2, chosen).squeeze(-2) * epsilon

    def sample(self, generator: Generators | None = None) -> Float[Tensor, "*batch D"]:
        """A draw that is reparametrised in its component; which one it is has no gradient."""
        return self.draw(mixture_noise(self.components.mean.shape, generator, self.components.mean))

    def shifted(self, by: Float[Tensor, "*batch D"]) -> Mixture:
        """That of draws that are shifted."""
        return Mixture(self.log_weights, self.components.shifted(by[..., None, :]))

    def kl_of(self, posterior: Gaussian) -> Float[Tensor, "*batch"]:
        """The least upper bound of KL(posterior ‖ self) that components give: −ln Σ_k π_k exp(−KL_k), in nats.

        There is no closed form of the divergence itself. With one component it is the bound (Hershey & Olsen 2007).
        """
        each = Gaussian(posterior.mean[..., None, :], posterior.std[..., None, :]).kl(self.components).sum(-1)
        return -(self.log_weights - each).logsumexp(-1)


class MixtureHead(nn.Module):
    """Linear map from features to a mixture of K Gaussians (a mixture density network, Bishop 1994)."""

    def __init__(self, features: int, dim: int, components: int) -> None:
        super().__init__()
        self.components = components
        self.weights = nn.Linear(features, components)
        self.gaussians = GaussianHead(features, components * dim)
        # Components that begin alike would stay alike for long.
        nn.init.normal_(self.gaussians.linear.bias, std=0.5)

    def forward(self, features: Float[Tensor, "*batch F"]) -> Mixture:
        found, apart = self.gaussians(features), (self.components, -1)
        log_weights = functional.log_softmax(at_least_single(self.weights(features)), -1)
        return Mixture(log_weights, Gaussian(found.mean.unflatten(-1, apart), found.std.unflatten(-1, apart)))

    @torch.no_grad()
    def begin(self, mixture: Mixture) -> None:
        """Begins at a mixture of K components in D dimensions, whatever the features; what they say is learned."""
        limit, (mean, std) = self.gaussians.LOG_STD_LIMIT, (mixture.components.mean, mixture.components.std)
        said = torch.cat([mean, limit * torch.atanh(std.log() / limit)])
        for linear, bias in ((self.gaussians.linear, said.flatten()), (self.weights, mixture.log_weights)):
            linear.weight.zero_()
            linear.bias.copy_(bias)

    def noise(self, rows: int, steps: int, generator: Generators | None, like: Tensor) -> Float[Tensor, "rows T D+K"]:
        """What `Mixture.draw` takes, drawn step by step."""
        widths = [self.gaussians.linear.out_features // 2 // self.components, self.components]
        normal = standard_normals(rows, widths * steps, generator, like).view(rows, steps, sum(widths))
        epsilon, others = normal.split(widths, 2)
        return torch.cat([epsilon, gumbel_of(others)], 2)


class ContentPrior(nn.Module):
    """P(z^c) of eq. 4: N(0, I) as in the paper or, of `content_components`, a mixture of Gaussians that is learned.

    Digits lie in clusters. Between two of them N(0, I) has its mass, and nothing that the decoder has ever drawn; a
    mixture is held against the aggregated posterior instead (compare the VampPrior, Tomczak & Welling 2018).
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.dim, self.components = config.content_dim, config.content_components
        if self.components > 1:
            self.logits = nn.Parameter(torch.zeros(self.components))
            self.mean = nn.Parameter(torch.randn(self.components, self.dim))
            self.log_std = nn.Parameter(torch.zeros(self.components, self.dim))

    def forward(self, normal: Float[Tensor, "B Dc"]) -> Gaussian | Mixture:
        """P(z^c) of each of B clips, in the type and on the device of `normal`."""
        if self.components == 1:
            return Gaussian(torch.zeros_like(normal), torch.ones_like(normal))
        clips = len(normal)
        components = Gaussian(self.mean.expand(clips, -1, -1), self.log_std.exp().expand(clips, -1, -1))
        return Mixture(functional.log_softmax(self.logits, -1).expand(clips, -1), components)

    @torch.no_grad()
    def fit(self, codes: Gaussian, held_out: Gaussian) -> None:
        """Fits weights and components to codes at once.

        A gradient hardly moves a component or a weight from where it begins, and codes that none began at are never
        drawn. So it is `fitted`; then all components become wider by that share of the variance of all codes which
        makes codes of other recordings likeliest: there may be more components than recordings. The same codes give
        the same mixture.

        Args:
            codes: Posteriors (N, Dc) of training clips, N ≥ `components`; 16 times as many say how often each is met.
            held_out: Posteriors (M, Dc) of clips that are not trained on.
        """
        found = fitted(codes, self.components)
        self.logits.copy_(found.log_weights)
        self.mean.copy_(found.components.mean)
        narrow, apart = found.components.std.square(), codes.mean.var(0)

        def divergence_when(wider: float) -> float:
            self.log_std.copy_((narrow + wider * apart).log() / 2)
            return float(self(held_out.mean).kl_of(held_out).mean())

        divergence_when(min(WIDER, key=divergence_when))

    def noise(self, normal: Float[Tensor, "B Dc"], generator: Generators | None) -> Float[Tensor, "B E"]:
        """What a draw is made of: N(0, I) that is there, and what chooses a component where there are several."""
        if self.components == 1:
            return normal
        return torch.cat([normal, standard_gumbel((len(normal), self.components), generator, normal)], 1)


@torch.no_grad()
def fitted(codes: Gaussian, components: int) -> Mixture:
    """The mixture of so many components to which codes are near: EM on the average of the bound that `kl_of` is.

    The components begin at codes that lie apart (k-means++, Arthur & Vassilvitskii 2007); then, with
    r_nk ∝ π_k exp(−KL(q_n ‖ k)), π_k is the mean of r_nk, and a component has the mean and the variance, the
    posteriors' own included, of the codes that it answers for. The same codes give the same mixture.

    Args:
        codes: Posteriors (N, D), N ≥ `components`.
        components: K.
    """
    of_noise = codes.std.square()
    square = of_noise + codes.mean.square()
    mean, log_weights = _apart(codes.mean, components), codes.mean.new_zeros(components)
    log_std = (of_noise.mean(0).log() / 2).expand(components, -1)
    for _ in range(EM_STEPS):
        precision = (-2 * log_std).exp()
        # KL of each code and component, less what is the same for all components.
        divergence = (
            square @ precision.t() / 2
            - codes.mean @ (mean * precision).t()
            + (mean.square() * precision / 2 + log_std).sum(1)
        )
        answers = (log_weights - divergence).softmax(1)
        share = answers.sum(0).clamp(min=1e-6)[:, None]
        mean = answers.t() @ codes.mean / share
        variance = answers.t() @ square / share - mean.square()
        log_std = variance.clamp(min=of_noise.min()).log() / 2
        log_weights = (share[:, 0] / len(codes.mean)).log()
    return Mixture(log_weights, Gaussian(mean, log_std.exp()))


def _apart(codes: Float[Tensor, "N D"], count: int) -> Float[Tensor, "count D"]:
    """So many of the codes, each drawn in proportion to its squared distance from the nearest of those before it."""
    generator = torch.Generator().manual_seed(0)
    chosen = [int(torch.randint(len(codes), (), generator=generator))]
    distance = (codes - codes[chosen[0]]).square().sum(1)
    while len(chosen) < count:
        # Where codes repeat, none is apart from those that are chosen.
        weights = (distance + 1e-12).cpu()
        chosen.append(int(weights.multinomial(1, generator=generator)))
        distance = torch.minimum(distance, (codes - codes[chosen[-1]]).square().sum(1))
    return codes[chosen]


def mixture_noise(shape: tuple[int, ...], generator: Generators | None, like: Tensor) -> Float[Tensor, "*batch D+K"]:
    """What `Mixture.draw` turns into a draw of a mixture of the `shape` (*batch, K, D)."""
    *batch, components, dim = shape
    return torch.cat(
        [standard_normal((*batch, dim), generator, like), standard_gumbel((*batch, components), generator, like)], -1
    )
