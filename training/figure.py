"""Pictures of swaps, as Fig. 2 of the paper shows them, still and moving.

Shapes: R rows, K columns, T frames of C×H×W with values in [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training.datasets.sprites import ACTIONS, Sprites

GAP, GREY = 4, 0.15


@torch.no_grad()
def swap_table(
    model: RWAE, data: Sprites, contents: int, motions: int, generator: torch.Generator
) -> Float[Tensor, "R K T C H W"]:
    """Reconstructions in the first row and column, swaps inside: a row a content, a column a motion.

    The clips are drawn at random, of different characters, and motions of different actions; every pixel is the
    model's. The corner is black.
    """
    characters = torch.randperm(len(data.characters), generator=generator)[: contents + motions]
    own_actions = torch.randint(len(ACTIONS), (contents,), generator=generator)
    motion_actions = torch.randperm(len(ACTIONS), generator=generator)[:motions]
    clips = data.clips(characters * len(ACTIONS) + torch.cat([own_actions, motion_actions]))
    codes = model.encode(clips)
    z_c, z_m = codes.z_c, codes.z_m
    rows = [torch.cat([torch.zeros_like(clips[:1]), model.decode(Latents(z_c[contents:], z_m[contents:]))])]
    for row in range(contents):
        moved = torch.cat([z_m[row : row + 1], z_m[contents:]])
        rows.append(model.decode(Latents(z_c[row : row + 1].expand(1 + motions, -1), moved)))
    return torch.stack(rows)


def still(table: Float[Tensor, "R K T C H W"]) -> NDArray[np.uint8]:
    """One frame (1, height, width, C): each clip its frames side by side."""
    rows, columns, steps, channels, height, width = table.shape
    return _page(table.movedim(2, 4).reshape(rows, columns, 1, channels, height, steps * width))


def moving(table: Float[Tensor, "R K T C H W"]) -> NDArray[np.uint8]:
    """T frames (T, height, width, C): all clips playing at once."""
    return _page(table)


def _page(table: Tensor) -> NDArray[np.uint8]:
    """Lays rows and columns out with gaps between them."""
    rows, columns, steps, channels, height, width = table.shape
    page = torch.full((steps, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels), GREY)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + GAP), column * (width + GAP)
            page[:, top : top + height, left : left + width] = table[row, column].movedim(1, -1)
    return page.mul(255).round().byte().numpy()
