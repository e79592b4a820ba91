"""Sprites are what the dataset's description says, pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from training.datasets.errors import DataError
from training.datasets.sprites import ACTIONS, ATTRIBUTES, Sprites

FIRST = {
    "spellcard left": 13, "spellcard front": 26, "spellcard right": 39,
    "walk left": 118, "walk front": 131, "walk right": 144,
    "slash left": 169, "slash front": 182, "slash right": 195,
}  # fmt: skip


def pillow_clip(folder: Path, attributes: list[int], action: str) -> np.ndarray:
    """An independent composition with Pillow: 8 frames of 64×64×3 bytes."""
    f = FIRST[action]
    cells = {
        "walk": [f + 7, *range(f, f + 7)],
        "spellcard": [*range(f, f + 6), f + 4, f + 6],
        "slash": [*range(f, f + 6), f + 4, f],
    }[action.split(maxsplit=1)[0]]
    names = [f"{layer}/{v}" for layer, v in zip(("body", "bottomwear", "topwear", "hair"), attributes, strict=True)]
    sheets = [Image.open(folder / f"{name}.png").convert("RGBA") for name in [*names, "shoes/1"]]
    frames = []
    for cell in cells:
        frame = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
        for sheet in sheets:
            left, top = cell % 13 * 64, cell // 13 * 64
            frame.alpha_composite(sheet.crop((left, top, left + 64, top + 64)))
        frames.append(np.asarray(frame.convert("RGB")))
    return np.stack(frames)


def test_clips_equal_a_composition_with_pillow(sprites: Path, drawn_sprites: Path) -> None:
    data = Sprites(sprites, "train")
    indices = torch.randint(len(data), (100,), generator=torch.Generator().manual_seed(0))
    labels = data.labels(indices)
    found = data.clips(indices).mul(255).round().byte().permute(0, 1, 3, 4, 2).numpy()
    attributes = torch.stack([labels[name] for name in ATTRIBUTES], 1).tolist()
    for clip, variants, action in zip(found, attributes, labels["action"].tolist(), strict=True):
        expected = pillow_clip(sprites, variants, ACTIONS[action])
        # Pillow rounds after each half-transparent layer; the real art has none.
        assert np.abs(clip.astype(int) - expected).max() <= (1 if sprites == drawn_sprites else 0)


def test_splits_are_the_published_permutation(drawn_sprites: Path) -> None:
    np.random.seed(423)
    order = np.random.permutation(1296)
    expected = [(s // 216, s % 216 // 36, s % 36 // 6, s % 6) for s in order.tolist()]
    splits = {name: Sprites(drawn_sprites, name) for name in ("train", "validation", "test")}
    assert {name: len(split) for name, split in splits.items()} == {"train": 8100, "validation": 900, "test": 2664}
    found = [tuple(row) for split in splits.values() for row in split.characters.tolist()]
    assert found == expected


def test_true_clips_are_nearest_to_their_own_labels(sprites: Path) -> None:
    data = Sprites(sprites, "validation")
    indices = torch.arange(0, 900, 31)
    labels = data.labels(indices)
    clips = data.clips(indices)
    assert not any(wrong.any() for wrong in data.nearest_errors(clips, labels).values())
    assert data.nearest_errors(clips, labels | {"action": (labels["action"] + 1) % 9})["action"].all()
    found = data.nearest_errors(clips, labels | {"hair": (labels["hair"] + 1) % 6})
    assert found["hair"].all()


def test_a_missing_or_wrong_sheet_is_named(drawn_sprites: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"body.0\.png is missing.*YingzhenLi"):
        Sprites(tmp_path, "train")
    (tmp_path / "body").mkdir()
    Image.new("RGBA", (100, 100)).save(tmp_path / "body" / "0.png")
    with pytest.raises(DataError, match="100×100"):
        Sprites(tmp_path, "train")
