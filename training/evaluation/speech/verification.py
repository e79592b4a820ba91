"""Speaker verification from codes (Appendix C): how well each tells whether two utterances have one speaker.

Shapes: U utterances, P = U (U − 1) / 2 pairs of them, N steps, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from rwae_core.latents import Latents
from training.evaluation import probes
from training.evaluation.metrics import eer


@dataclass(frozen=True)
class Trials:
    """Every unordered pair of utterances: whether both have one speaker, and how near each code says that they are."""

    same: Bool[Tensor, " P"]
    static: Float[Tensor, " P"]
    dynamic: Float[Tensor, " P"]

    def errors(self) -> dict[str, float]:
        """Equal error rates in %, low for z^c and high for z^m where they are apart, and by how much they differ."""
        static, dynamic = eer(self.static, self.same), eer(self.dynamic, self.same)
        return {"static_eer": static, "dynamic_eer": dynamic, "gap": dynamic - static}


def trials(codes: Sequence[Latents], speakers: Int[Tensor, " U"]) -> Trials:
    """Cosines of z^c, which is the mean of E[z^c] over windows, and of the mean of E[z^m_t] over all steps.

    Args:
        codes: One (1, Dc) and (1, N, Dm) an utterance.
        speakers: The number of the speaker of each.
    """
    speakers = speakers.to(codes[0].z_c.device)
    one, other = torch.triu_indices(len(codes), len(codes), 1, device=speakers.device)
    static = functional.normalize(torch.cat([each.z_c for each in codes]).double(), dim=1)
    dynamic = functional.normalize(torch.cat([each.z_m.mean(1) for each in codes]).double(), dim=1)
    return Trials(
        speakers[one] == speakers[other],
        (static[one] * static[other]).sum(1),
        (dynamic[one] * dynamic[other]).sum(1),
    )


def halves(speakers: Int[Tensor, " U"]) -> tuple[Int[Tensor, " K"], Int[Tensor, " L"]]:
    """Every other utterance of each speaker: the first, third … to learn the voice from, the others to ask about."""
    seen: dict[int, int] = {}
    turns = []
    for speaker in speakers.tolist():
        turns.append(seen.get(speaker, 0) % 2)
        seen[speaker] = seen.get(speaker, 0) + 1
    turn = torch.tensor(turns)
    return (turn == 0).nonzero()[:, 0], (turn == 1).nonzero()[:, 0]


def probe_errors(codes: Sequence[Latents], speakers: Int[Tensor, " U"]) -> dict[str, float]:
    """How often a linear classifier, learned on half of the utterances, takes others for another's, in %.

    Of a sequence of z^m it sees the mean and the covariance over all steps: what a mean alone hides, such as how far a
    voice moves in each direction, the cosine of `trials` cannot see either. Chance is 100 (1 − 1 / speakers).
    """
    z_c, z_m = torch.cat([each.z_c for each in codes]), torch.stack([_moments(each.z_m[0]) for each in codes])
    known, held = halves(speakers)
    learned, asked = (Latents(z_c[half], z_m[half][:, None]) for half in (known, held))
    labels, expected = ({"speaker": speakers.cpu()[half]} for half in (known, held))
    right = probes.accuracies(learned, labels, asked, expected)
    return {f"probe_{code}_error": 100 - right[f"{code} speaker"] for code in ("z_c", "z_m")}


def _moments(z_m: Float[Tensor, "N Dm"]) -> Float[Tensor, " F"]:
    """Mean and covariance over time, what is symmetric but once."""
    mean = z_m.mean(0)
    centred = z_m - mean
    rows, columns = torch.triu_indices(z_m.shape[1], z_m.shape[1], device=z_m.device)
    return torch.cat([mean, (centred.T @ centred / len(z_m))[rows, columns]])
