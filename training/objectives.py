"""Terms of the objective (eq. 9): pure functions from codes and samples to unweighted scalars.

Shapes: B clips, T steps, n samples, D dimensions of a code, frames of any one shape.
"""

from __future__ import annotations

from collections.abc import Callable
from math import log, pi

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from rwae_core.gaussian import Gaussian
from rwae_core.gumbel import GumbelSoftmax
from rwae_core.mixture import Mixture
from training.mel import mel_bands

BANDWIDTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""σ of the mixture of RBF kernels (Li et al. 2017); the paper leaves them open."""

GRADIENT_WEIGHT = 10.0
"""λ of the scaled MMD (eq. 11) and, left open by the paper, of the discriminator's gradient penalty (eq. 24)."""

STRANGERS = 4
"""How many strangers each code of a batch is told from; codes are cheap, clips are not."""

EVENNESS = 5.0
"""λ of the agreement on actions (Van Gansbeke et al. 2020)."""

MOVING, MOVED = 4.0, 0.1
"""How much more the error of what moves counts, and how far a pixel is then from its mean over time."""

SILENT = 1e-3
"""Codes have deviations around 1; what differs by so little between recordings is rounding, or not learned yet."""

Scalar = Float[Tensor, ""]


def squared_error(found: Float[Tensor, "B T *frame"], clip: Float[Tensor, "B T *frame"]) -> Scalar:
    """c(x, G(z)) of eq. 9: squared error summed over a clip's frames and their elements, averaged over clips."""
    return functional.mse_loss(found, clip, reduction="sum") / len(clip)


def moving_error(found: Float[Tensor, "B T C H W"], clip: Float[Tensor, "B T C H W"]) -> Scalar:
    """c(x, G(z)) of eq. 9 for people before a wall: squared error, of what moves counted up to five times.

    Σ (1 + 4 min(1, d / 0.1)) (x − x̂)², d how far a pixel is from its mean over the frames, averaged over channels; all
    averaged over clips. Most of a frame is wall, and what is done is seen in a few pixels of an arm.
    """
    moved = (clip - clip.mean(1, keepdim=True)).abs().mean(2, keepdim=True) / MOVED
    return ((1 + MOVING * moved.clamp_max(1)) * (found - clip).square()).sum() / len(clip)


def spectral_error(found: Float[Tensor, "B T K"], clip: Float[Tensor, "B T K"]) -> Scalar:
    """c(x, G(z)) of eq. 9 for speech: squared error of bins, and as much weight on that of means over mel bands.

    Σ (x − x̂)² + K / M · Σ (mean over a band of x − x̂)², M = 32 bands, averaged over clips. Most of what a single bin
    of 40 Hz does from one column to the next is chance, which a code has no room for; what is said and by whom is in
    means over bins, and most of it below 2 kHz.
    """
    difference = found - clip
    bands = difference @ mel_bands(clip.shape[-1], difference.device).to(difference)
    weight = clip.shape[-1] / bands.shape[-1]
    return (difference.square().sum() + weight * bands.square().sum()) / len(clip)


def cross_entropy(found: Float[Tensor, "B T *frame"], clip: Float[Tensor, "B T *frame"]) -> Scalar:
    """c(x, G(z)) of eq. 9 for SM-MNIST: Bernoulli cross-entropy summed over a clip in nats, averaged over clips.

    Args:
        found: Probabilities in [0, 1], as a sigmoid gives them.
        clip: Intensities in [0, 1].
    """
    return functional.binary_cross_entropy(found, clip, reduction="sum") / len(clip)


def motion_kl(posterior: Gaussian, prior: Gaussian | Mixture) -> Scalar:
    """Σ_t KL(Q(z^m_t | z^m_{<t}, x_t) ‖ P_ψ(z^m_t | z^m_{<t})), in nats, averaged over clips (Appendix D).

    Of a mixture, its bound.
    """
    return prior.kl_of(posterior).sum(1).mean()


def content_kl(posterior: Gaussian, prior: Gaussian | Mixture) -> Scalar:
    """KL(Q(z^c | x_{1:T}) ‖ P(z^c)), in nats, averaged over clips. Of a mixture, its bound."""
    return prior.kl_of(posterior).mean()


def cycle(posterior: Gaussian, code: Float[Tensor, " n *code"]) -> Scalar:
    """−E ln Q(z | G(z, z̃)), in nats: a code is still seen in what was drawn of it with the other one from its prior.

    The entropy of z less this bounds the information I(z; x̃) from below (Barber & Agakov 2003), for clips that nobody
    has filmed as Appendix B asks it for those that were.

    Args:
        posterior: What the code's posterior says of the drawn clips.
        code: z^c or z^m, what they were drawn of.
    """
    shift = (code - posterior.mean) / posterior.std
    return (shift.square() / 2 + posterior.std.log() + log(2 * pi) / 2).sum() / len(code)


def motion_mmd(z_m: Float[Tensor, "B T D"], prior_z_m: Float[Tensor, "B T D"]) -> Scalar:
    """Σ_t MMD²(Q_{z^m_t | z^m_{<t}}, P_{z^m_t | z^m_{<t}}) with a mixture of RBF kernels (eq. 21).

    Row i of both arguments was drawn at the same history, so the two draws of a row are correlated; the cross term
    leaves those pairs out: Σ_{i≠j} [k(z_i, z_j) + k(z̃_i, z̃_j) − 2 k(z̃_i, z_j)] / n(n−1). Eqs. 21 and 22 print the
    cross term without its 2; MMD² has it.

    Args:
        z_m: Draws from the posterior.
        prior_z_m: Draws from the prior's conditional at the posterior draws' histories.
    """
    draws = torch.cat([z_m, prior_z_m]).movedim(1, 0)
    (within, between), (_, prior_within) = (rows.chunk(2, 2) for rows in _rbf(draws, *BANDWIDTHS).chunk(2, 1))
    return _off_diagonal_mean(within + prior_within - 2 * between).sum()


def scaled_mmd(
    critic: Callable[[Tensor], Tensor],
    z_c: Float[Tensor, "n D"],
    prior_z_c: Float[Tensor, "n D"],
) -> Scalar:
    """Scaled MMD of content (eqs. 11 and 22): MMD²_{k_γ} / (1 + λ E‖∇f_γ(z)‖²), λ = 10.

    k_γ(x, y) = exp(−(f_γ(x) − f_γ(y))² / 2). The expectation of the gradient is over the samples of both sides in
    equal parts, which the paper leaves open. The critic is trained to maximise it, the encoder to minimise it.

    Args:
        critic: f_γ, from (n, D) to (n, 1).
        z_c: Draws from the posterior.
        prior_z_c: Independent draws from P(z^c).
    """
    codes = torch.cat([z_c, prior_z_c])
    points = codes if codes.requires_grad else codes.requires_grad_()
    features = critic(points)
    (gradient,) = torch.autograd.grad(features.sum(), points, create_graph=True)
    (within, between), (_, prior_within) = (rows.chunk(2, 1) for rows in _rbf(features, 1.0).chunk(2))
    mmd = _off_diagonal_mean(within + prior_within) - 2 * between.mean()
    return mmd / (1 + GRADIENT_WEIGHT * gradient.square().sum(1).mean())


def jensen_shannon(
    critic: Callable[[Tensor], Tensor], z_c: Float[Tensor, "n D"], prior_z_c: Float[Tensor, "n D"]
) -> Scalar:
    """Content's term of R-WAE(GAN) (eqs. 10 and 23): E_p[ln D(z^c)] + E_q[ln(1 − D(z̃^c))] + 2 ln 2, in nats.

    With the best discriminator it is twice the Jensen-Shannon divergence: 0 where prior and posterior agree, 2 ln 2
    where they are apart. The critic is trained to maximise it, the encoder to minimise it.

    Args:
        critic: Logit of D_γ, from (n, D) to (n, 1).
        z_c: Draws from the posterior.
        prior_z_c: Independent draws from P(z^c).
    """
    return 2 * log(2) - functional.softplus(-critic(prior_z_c)).mean() - functional.softplus(critic(z_c)).mean()


def gradient_penalty(
    critic: Callable[[Tensor], Tensor],
    z_c: Float[Tensor, "n D"],
    prior_z_c: Float[Tensor, "n D"],
    mix: Float[Tensor, "n 1"],
) -> Scalar:
    """E‖∇D_γ(ẑ)‖² at ẑ = α z^c + (1 − α) z̃^c, unweighted (eq. 24).

    The gradient is that of the logit, as in Mescheder et al. 2018, from whom the paper has it.

    Args:
        critic: Logit of D_γ.
        z_c: Draws from the posterior.
        prior_z_c: Independent draws from P(z^c).
        mix: α, uniform in [0, 1].
    """
    points = (mix * prior_z_c + (1 - mix) * z_c).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return gradient.square().sum(1).mean()


def discriminator_loss(real: Float[Tensor, "*filmed"], generated: Float[Tensor, "*drawn"]) -> Scalar:
    """−E ln D(x) − E ln(1 − D(x̃)) of logits, in nats: 2 ln 2 at chance, 0 where all is told apart."""
    return functional.softplus(-real).mean() + functional.softplus(generated).mean()


def generator_loss(generated: Float[Tensor, "*patches"]) -> Scalar:
    """−E ln D(x̃) of logits, in nats, which does not saturate (Goodfellow et al. 2014): ln 2 at chance."""
    return functional.softplus(-generated).mean()


def action_agreement(actions: Float[Tensor, "B A"], companions: Float[Tensor, "B W A"]) -> Scalar:
    """How little clips that probably show the same agree on their action, −E ln Σ_k a_k ã_k, less λ H(E a), λ = 5.

    It is least, −λ ln A, where all agree, are certain, and the actions are as frequent as each other (Van Gansbeke et
    al. 2020, who class pictures by their neighbours). Information alone (Ji et al. 2019), which weighs the entropy 1,
    has fewer classes than A as a local optimum. Nobody says which action a clip shows.

    Args:
        actions: Probabilities of the actions of each clip.
        companions: Those of W other clips that probably show what it shows.
    """
    alike = (actions[:, None] * companions).sum(-1).clamp_min(1e-6)
    often = torch.cat([actions, companions.flatten(0, 1)]).mean(0)
    return -alike.log().mean() + EVENNESS * (often * often.clamp_min(1e-6).log()).sum()


def action_cycle(seen: Float[Tensor, "B A"], actions: Float[Tensor, "B A"]) -> Scalar:
    """−E Σ_k a_k ln q(k | G(z̃^c, z^m, a)), in nats: whether a swap is seen to do what its motion's source does.

    ln A less this bounds from below the information that a swap has of the action, as MoCoGAN's term does of clips that
    are drawn (Chen et al. 2016).

    Args:
        seen: Probabilities of the actions of the swaps.
        actions: What they were drawn of.
    """
    # A swap that is surely taken for another action is left alone: its gradients were as large as all others together.
    return -(actions * seen.clamp_min(1e-6).log()).sum(1).mean()


def action_kl(posterior: GumbelSoftmax, log_action: Float[Tensor, "B A"]) -> Scalar:
    """Estimate of KL(q(ã | x) ‖ p(ã)) to the uniform Gumbel-softmax, in nats, from one draw a clip (section 3.4)."""
    return posterior.log_ratio(log_action).mean()


def _rbf(x: Float[Tensor, "*batch n D"], *bandwidths: float) -> Float[Tensor, "*batch n n"]:
    """Σ_σ exp(−‖x_i − x_j‖² / 2σ²) of all pairs."""
    lengths = x.square().sum(-1)
    distances = (lengths.unsqueeze(-1) + lengths.unsqueeze(-2)) - 2 * x @ x.mT
    return torch.stack([distances * (-0.5 / bandwidth**2) for bandwidth in bandwidths]).exp().sum(0)


def _off_diagonal_mean(kernels: Float[Tensor, "*batch n n"]) -> Float[Tensor, "*batch"]:
    n = kernels.shape[-1]
    diagonal = kernels.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (kernels.sum((-2, -1)) - diagonal) / (n * (n - 1))


def dependence(
    critic: Callable[[Tensor, Tensor], Tensor], z_c: Float[Tensor, "n Dc"], z_m: Float[Tensor, "n T Dm"]
) -> Scalar:
    """Estimate of KL(q(z^c, z^m_{1:T}) ‖ q(z^c) q(z^m_{1:T})), in nats, by the density ratio of a classifier.

    The codes are independent in the model (eq. 4). The estimator is that of FactorVAE (Kim & Mnih 2018).

    Args:
        critic: Logit of "these codes are of one clip"; see `dependence_critic_loss`.
        z_c: Draws from the posterior.
        z_m: Draws from the posterior, of the same clips.
    """
    return critic(z_c, z_m).mean()


def dependence_critic_loss(
    critic: Callable[[Tensor, Tensor], Tensor], z_c: Float[Tensor, "n Dc"], z_m: Float[Tensor, "n T Dm"]
) -> Scalar:
    """Cross-entropy of telling codes of one clip from those of two; each row meets its next few as strangers."""
    shifts = range(1 + min(STRANGERS, len(z_c) - 1))
    logits = critic(torch.cat([z_c.roll(step, 0) for step in shifts]), z_m.repeat(len(shifts), 1, 1))
    same, strangers = logits.tensor_split([len(z_c)])
    return functional.softplus(-same).mean() + functional.softplus(strangers).mean()


def over_time(z_m: Float[Tensor, "*n W T D"]) -> Float[Tensor, "*n F"]:
    """Means over W windows of z^m, of its square and of the square of its differences from step to step, F = 3 D.

    Who speaks is told by these, not by a window: over many, they are as good as independent of what is said.
    """
    told = (z_m, z_m.square(), z_m.diff(dim=-2).square())
    return torch.cat([each.mean((-3, -2)) for each in told], -1)


def recording_correlation(told: Float[Tensor, "n 2 F"]) -> Scalar:
    """How alike z^m is in both halves of a recording: the mean intraclass correlation of `over_time` (Fisher 1925).

    Whoever speaks moves both halves of a recording alike, and what is said in one does not tell what is said in the
    other. So for each of F it is 1 where nothing but the recording decides, and 0, on average, where nothing of it is
    told; a scale changes nothing, unless what is told differs by less than `SILENT`.
    """
    variance, mean = torch.var_mean(told.flatten(0, 1), 0)
    one, other = (told - mean).unbind(1)
    return (one * other / (variance + SILENT**2)).mean()


def negative_log_likelihood(found: Gaussian, clip: Float[Tensor, "B T *frame"]) -> Scalar:
    """FHVAE's reconstruction: −ln p(x | z₁, z₂), summed over a clip in nats, averaged over clips."""
    shift = (clip - found.mean) / found.std
    return (shift.square() / 2 + found.std.log() + log(2 * pi) / 2).sum() / len(clip)


def sequence_prior(means: Float[Tensor, "B D"], segments: Int[Tensor, " B"]) -> Scalar:
    """FHVAE's prior of sequences (Hsu et al. 2017): −ln p(μ₂) / N_i, p(μ₂) = N(0, I), averaged over segments.

    Args:
        means: μ₂ of each segment's sequence.
        segments: N_i, how many segments that sequence has; over all of them, its prior counts once.
    """
    surprise = (means.square() + log(2 * pi)).sum(1) / 2
    return (surprise / segments).mean()


def discriminative(
    z_c: Float[Tensor, "B D"], means: Float[Tensor, "sequences D"], std: float, sequences: Int[Tensor, " B"]
) -> Scalar:
    """FHVAE's discriminative term (Hsu et al. 2017): −ln p(i | z₂) in nats, averaged over segments.

    p(i | z₂) = N(z₂; μ₂⁽ⁱ⁾, σ² I) / Σ_j N(z₂; μ₂⁽ʲ⁾, σ² I) over all sequences of the training data. ln(number of
    sequences) where z₂ says nothing of its sequence; without the term all μ₂ may be one.

    Args:
        z_c: Posterior means of z₂.
        means: The table of μ₂.
        std: σ.
        sequences: i, the row of each segment's sequence.
    """
    # ‖z₂‖² is the same for all j, and leaving it out spares B × sequences × D differences.
    logits = (z_c @ means.T - means.square().sum(1) / 2) / std**2
    return functional.cross_entropy(logits, sequences)
