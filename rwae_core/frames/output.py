"""The last step of every frame decoder.

Shapes: frames of any shape.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from rwae_core.precision import at_least_single


class Output(nn.Module):
    """Frames, in float32 or float64: through a sigmoid, or as they are in training and clamped to [0, 1] outside."""

    def __init__(self, form: Literal["sigmoid", "linear"]) -> None:
        super().__init__()
        self.sigmoid = form == "sigmoid"

    def forward(self, values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        values = at_least_single(values)
        if self.sigmoid:
            return values.sigmoid()
        return values if self.training else values.clamp(0, 1)
