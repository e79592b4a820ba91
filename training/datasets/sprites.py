"""Liberated Pixel Cup sprites as in Li & Mandt 2018: 1296 characters × 9 actions, composed on the device from layers.

Shapes: B clips, T = 8 frames of 3×64×64 with values in [0, 1].
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Tensor

from training.datasets.errors import DataError
from training.datasets.source import Files, Source

CELL = 64
SHEET_COLUMNS = 13
SHOES = 1
VARIANTS = 6
ATTRIBUTES = ("body", "bottomwear", "topwear", "hair")
ACTIONS = tuple(f"{move} {view}" for move in ("walk", "spellcard", "slash") for view in ("front", "left", "right"))
SPLITS = {"train": (0, 900), "validation": (900, 1000), "test": (1000, 1296)}
"""First character of each split and the one after its last, in the published permutation."""

_FIRST_CELLS = {
    **{"walk front": 131, "walk left": 118, "walk right": 144},
    **{"spellcard front": 26, "spellcard left": 13, "spellcard right": 39},
    **{"slash front": 182, "slash left": 169, "slash right": 195},
}
_OFFSETS = {
    "walk": (7, 0, 1, 2, 3, 4, 5, 6),
    "spellcard": (0, 1, 2, 3, 4, 5, 4, 6),
    "slash": (0, 1, 2, 3, 4, 5, 4, 0),
}

SOURCE = Source(
    title="Sprites",
    needs="the layers as <data>/{body,bottomwear,topwear,hair,shoes}/<variant>.png",
    origin="github.com/YingzhenLi/Sprites",
    licence="CC-BY-SA 3.0 and GPL 3.0, by the Liberated Pixel Cup's artists",
    folder="sprites",
    files=(
        Files("body/[0-5].png", 6, "e5bca7b1c4a8d347c3b2edd58d01428ef1d68416ecb99298704f00c88c6bae00"),
        Files("bottomwear/[0-5].png", 6, "64e34a062d4f8deffde187e8ec3949a1896324361c6efe1480ed25f9b7adfb45"),
        Files("topwear/[0-5].png", 6, "5c10f216a5f2a4a9f5c0815a8a77680193011dc769501949deb22088e3973692"),
        Files("hair/[0-5].png", 6, "9c96ec0aad845b948898fdecfbb145fc87bfcaf08fa6df10e0496078dc471a03"),
        Files("shoes/1.png", 1, "d56a561616a20a12030d2d40a52eeec63e6d048871bf3b6994221869362151f1"),
    ),
)
Labels = dict[str, Int[Tensor, " B"]]
"""Which action each clip shows, 0 to 8, and which variant of each attribute, 0 to 5."""


class Sprites:
    """All Sprites clips of one split, composed when asked for.

    The permutation of the characters is the published one; of its first 1000, the training characters, the last 100
    are `validation`, held out for choosing between models. The 296 of `test` are for final figures alone.

    Args:
        folder: Holds one folder of RGBA sheets for each layer.
        split: "train" (900 characters), "validation" (100) or "test" (296).
        device: Where clips are composed.
        frames: 8, which is what there is.

    Raises:
        DataError: a sheet is missing or has another size, or other clips than of 8 frames are asked for.
    """

    source = SOURCE
    fps = 8.0
    frame_shape: tuple[int, ...] = (3, CELL, CELL)

    def __init__(self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 8) -> None:
        if folder is None:
            raise DataError(SOURCE.help)
        if frames != len(_OFFSETS["walk"]):
            raise DataError(f"Sprites have 8 frames, not {frames}; set frames = 8 in the preset's [model]")
        self.frames = frames
        sheets = [*((name, range(VARIANTS)) for name in ATTRIBUTES), ("shoes", [SHOES])]
        bodies, *layers = (
            torch.cat([_cells(folder / name / f"{variant}.png") for variant in variants]).to(device)
            for name, variants in sheets
        )
        self.bodies, self.layers = _over_black(bodies), [_Layer.cut(cells) for cells in layers]
        order = np.random.RandomState(423).permutation(VARIANTS ** len(ATTRIBUTES))
        chosen = order[slice(*SPLITS[split])]
        characters = np.stack(np.unravel_index(chosen, (VARIANTS,) * len(ATTRIBUTES)), 1)
        self.characters = torch.as_tensor(characters, device=device)
        self.device = torch.device(device)

    def __len__(self) -> int:
        return len(self.characters) * len(ACTIONS)

    def labels(self, indices: Int[Tensor, " B"]) -> Labels:
        """Labels of clips: clip i is character i // 9 doing action i % 9."""
        indices = indices.to(self.device)
        character = self.characters[indices // len(ACTIONS)]
        return {"action": indices % len(ACTIONS), **dict(zip(ATTRIBUTES, character.unbind(1), strict=True))}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T C H W"]:
        """The clips themselves."""
        return self.compose(self.labels(indices))

    def compose(self, labels: Labels) -> Float[Tensor, "B T C H W"]:
        """Lays bottomwear, topwear, hair and shoes over a body over black: x ← x (1 − α) + colour · α."""
        action = labels["action"]
        body, *clothes = (len(ACTIONS) * labels[name] + action for name in ATTRIBUTES)
        clip = self.bodies.index_select(0, body).float().div_(255)
        for layer, cells in zip(self.layers, [*clothes, action], strict=True):
            colour, alpha = layer.pixels.index_select(0, cells).split((3, 1), dim=2)
            clip[..., layer.rows, layer.columns].lerp_(colour, alpha)
        return clip

    def nearest_errors(self, clips: Float[Tensor, "B T C H W"], labels: Labels) -> Labels:
        """1 for each factor in which a clip is nearer to a true clip with another label than to the one it should be.

        The true clip of every label is known, so this needs no classifier: each label in turn is varied while the
        others are right. It is what training watches; reported figures are the judge's (`training.evaluation.judge`).
        """
        wrong = {}
        for name, intended in labels.items():
            count = len(ACTIONS) if name == "action" else VARIANTS
            others = [self.compose(labels | {name: torch.full_like(intended, other)}) for other in range(count)]
            distances = torch.stack([(other - clips).square().flatten(1).sum(1) for other in others], 1)
            wrong[name] = (distances.argmin(1) != intended).int()
        return wrong


@dataclass(frozen=True)
class _Layer:
    """One layer's cells without the margin that is transparent in all of them, and where in a frame they belong."""

    pixels: Float[Tensor, "cells T 4 h w"]
    rows: slice
    columns: slice

    @classmethod
    def cut(cls, cells: UInt8[Tensor, "cells T 4 H W"]) -> _Layer:
        seen = (cells[:, :, 3] > 0).flatten(0, 1).any(0)
        rows, columns = (_extent(seen.any(axis)) for axis in (1, 0))
        return cls(cells[..., rows, columns].float() / 255, rows, columns)


def _over_black(cells: UInt8[Tensor, "cells T 4 H W"]) -> UInt8[Tensor, "cells T 3 H W"]:
    """Colour · α."""
    colour, alpha = cells.int().split((3, 1), dim=2)
    return (colour * alpha / 255).round().byte()


def _extent(seen: Bool[Tensor, " n"]) -> slice:
    """From the first to the last."""
    places = seen.nonzero()
    return slice(int(places.min()), int(places.max()) + 1) if len(places) else slice(0, 0)


def _cells(path: Path) -> Tensor:
    """Cells of one sheet in the order of the actions: action, frame, RGBA, height, width."""
    if not path.is_file():
        raise DataError(f"{path} is missing. {SOURCE.help}")
    with Image.open(path) as image:
        sheet = torch.from_numpy(np.array(image.convert("RGBA")))
    rows = sheet.shape[0] // CELL
    if tuple(sheet.shape) != (rows * CELL, SHEET_COLUMNS * CELL, 4) or rows < 16:
        raise DataError(f"{path} is {sheet.shape[1]}×{sheet.shape[0]} pixels; a sheet has 13 columns of 64-pixel cells")
    grid = sheet.unflatten(0, (rows, CELL)).unflatten(2, (SHEET_COLUMNS, CELL)).permute(0, 2, 4, 1, 3).flatten(0, 1)
    cells = [[_FIRST_CELLS[action] + offset for offset in _OFFSETS[action.split()[0]]] for action in ACTIONS]
    return grid[torch.tensor(cells)]
