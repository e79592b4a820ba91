"""What R-WAE and the baselines have in common: codes of clips, clips of codes, and codes from a prior.

Shapes: B clips, T frames of any one shape, S of them drawn, Dc content and Dm motion dimensions, A actions.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from rwae_core.gaussian import Generators
from rwae_core.latents import Latents


@runtime_checkable
class SequenceModel(Protocol):
    """The verbs of `rwae_core.model.RWAE`, where they are described.

    A baseline that lacks one raises `rwae_core.errors.UnsupportedError`, which says which verbs it has.
    """

    def encode(self, clip: Float[Tensor, "B T *frame"], generator: Generators | None = None) -> Latents: ...

    def decode(self, latents: Latents, steps: Int[Tensor, "B S"] | None = None) -> Float[Tensor, "B S *frame"]: ...

    def swap(
        self, content: Float[Tensor, "B S *frame"], motion: Float[Tensor, "B T *frame"]
    ) -> Float[Tensor, "B T *frame"]: ...

    def sample(
        self,
        n: int,
        frames: int,
        generator: Generators | None = None,
        *,
        temperature: float = 1.0,
        z_c: Float[Tensor, "B Dc"] | None = None,
        z_m: Float[Tensor, "B S Dm"] | None = None,
        action: Float[Tensor, "B A"] | None = None,
    ) -> Latents: ...

    def generate(
        self, n: int, frames: int, generator: Generators | None = None, *, temperature: float = 1.0
    ) -> Float[Tensor, "B T *frame"]: ...
