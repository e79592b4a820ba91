"""The codes of a batch of clips.

Shapes: B clips, T steps, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rwae_core.errors import ShapeError


@dataclass(frozen=True)
class Latents:
    """z^c, z^m_{1:T} and, in weakly supervised models, the action a of each clip.

    Raises:
        ShapeError: the codes are not of one batch.
    """

    z_c: Float[Tensor, "B Dc"]
    z_m: Float[Tensor, "B T Dm"]
    action: Float[Tensor, "B A"] | None = None

    def __post_init__(self) -> None:
        batches = {len(code) for code in (self.z_c, self.z_m, self.action) if code is not None}
        if len(batches) != 1:
            raise ShapeError(f"z_c, z_m and action are codes of {sorted(batches)} clips; they must be of as many")

    def check(self, content_dim: int, motion_dim: int, actions: int) -> None:
        """Raises ShapeError unless these are codes of a model with these dimensions, of at least one step."""
        found = (self.z_c.shape[-1], self.z_m.shape[-1], 0 if self.action is None else self.action.shape[-1])
        expected = (content_dim, motion_dim, actions)
        if found != expected:
            raise ShapeError(f"codes of {found} content, motion and action dimensions; this model has {expected}")
        if self.z_m.shape[1] == 0:
            raise ShapeError("z_m has no step; a clip has at least one")


def check_request(n: int, frames: int, **given: Tensor | None) -> None:
    """Raises ShapeError for fewer than one clip or frame, and for codes to keep that are not those of n clips."""
    if n < 1 or frames < 1:
        raise ShapeError(f"{n} clips of {frames} frames; both must be at least 1")
    for name, code in given.items():
        if code is not None and len(code) != n:
            raise ShapeError(f"{name} has {len(code)} rows; {n} clips need as many")


def even_actions(noise: Float[Tensor, " B"], actions: int) -> Float[Tensor, "B A"]:
    """One-hot actions, all alike probable, of standard normal draws: those of Φ(noise) · A."""
    index = (torch.special.ndtr(noise) * actions).long().clamp(max=actions - 1)
    return (index[:, None] == torch.arange(actions, device=noise.device)).to(noise)  # one_hot waits for the device
