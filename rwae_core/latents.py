"""The codes of a batch of clips.

Shapes: B clips, T steps, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass

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
