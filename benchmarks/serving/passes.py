"""The model called on a batch, as one writes it without an engine: for what the service is compared with.

Shapes: clips of T frames, T×H×W×3 bytes in 0..255, all of one shape.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from rwae_core.model import RWAE
from service.verbs.base import clip_generator, codes_of
from service.verbs.video import Encoded, Frames, Generated


@torch.inference_mode()
def encode(network: RWAE, clips: Sequence[Frames]) -> list[Encoded]:
    """Codes of clips, and how well they can be said back."""
    pixels = torch.from_numpy(np.stack(clips)).permute(0, 1, 4, 2, 3).float().div(255)
    latents = network.encode(pixels)
    errors = (network.decode(latents) - pixels).square().flatten(1).mean(1)
    ratios = (-10 * errors.log10()).tolist()
    return [Encoded(codes, ratio) for codes, ratio in zip(codes_of(latents), ratios, strict=True)]


@torch.inference_mode()
def generate(network: RWAE, seeds: Sequence[int], frames: int) -> list[Generated]:
    """One new clip for each seed."""
    latents = network.sample(len(seeds), frames, [clip_generator(seed, 0) for seed in seeds])
    clips = network.decode(latents).permute(0, 1, 3, 4, 2).mul(255).round().byte().numpy()
    return [Generated(clip[None], [codes]) for clip, codes in zip(clips, codes_of(latents), strict=True)]
