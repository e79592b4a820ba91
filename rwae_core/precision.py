"""The precision that codes, frames and losses need behind networks that compute in less."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def at_least_single(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What an autocast network gave in bfloat16, in float32; float64 stays what it is."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def has_bfloat16(device: torch.device) -> bool:
    """Whether it has instructions for bfloat16; a processor without them takes hundreds of times as long as float32."""
    if device.type == "cpu":
        return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
