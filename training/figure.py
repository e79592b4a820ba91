"""Pictures of swaps, as Fig. 2 of the paper shows them.

Shapes: B clips, T frames of C×H×W with values in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training.sprites import Sprites

GAP = 4


@torch.no_grad()
def swap_grid(model: RWAE, data: Sprites, contents: int, motions: int, generator: torch.Generator) -> Image.Image:
    """Reconstructions on the margins, swaps inside: a row a content, a column a motion, all frames side by side.

    The clips are drawn at random, of different characters and of different actions; every pixel is the model's.
    """
    characters = torch.randperm(len(data.characters), generator=generator)[: contents + motions]
    actions = torch.randperm(len(data) // len(data.characters), generator=generator)[:motions]
    spare = torch.randint(len(data) // len(data.characters), (contents,), generator=generator)
    indices = characters * (len(data) // len(data.characters)) + torch.cat([spare, actions])
    codes = model.encode(data.clips(indices.to(data.device)))
    z_c, z_m = codes.z_c, codes.z_m
    blank = torch.zeros(1, *data.clips(indices[:1]).shape[1:], device=data.device)
    rows = [torch.cat([blank, model.decode(Latents(z_c[contents:], z_m[contents:]))])]
    for row in range(contents):
        own = model.decode(Latents(z_c[row : row + 1], z_m[row : row + 1]))
        swaps = model.decode(Latents(z_c[row : row + 1].expand(motions, -1), z_m[contents:]))
        rows.append(torch.cat([own, swaps]))
    return _picture(torch.stack(rows))


def _picture(clips: Float[Tensor, "R C T D H W"]) -> Image.Image:
    """Rows and columns of clips, each clip its frames side by side, with a gap between clips."""
    rows, columns, steps, channels, height, width = clips.shape
    cells = clips.movedim(3, -1).movedim(2, 3).reshape(rows, columns, height, steps * width, channels)
    page = torch.full((rows * (height + GAP) - GAP, columns * (steps * width + GAP) - GAP, channels), 0.15)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + GAP), column * (steps * width + GAP)
            page[top : top + height, left : left + steps * width] = cells[row, column]
    pixels = page.mul(255).round().to(torch.uint8).numpy()
    return Image.fromarray(np.squeeze(pixels, 2) if channels == 1 else pixels)
