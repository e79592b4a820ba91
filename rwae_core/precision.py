"""The precision that codes, frames and losses need behind networks that compute in less."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_single(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What an autocast network gave in bfloat16, in float32; float64 stays what it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
