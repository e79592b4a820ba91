"""Sprites to train on: the real ones where they are, and sheets drawn here in their layout."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "sprites"


@pytest.fixture(scope="session")
def drawn_sprites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sheets of boxes: a layer's place, a variant's colour and a cell's shift all differ."""
    folder = tmp_path_factory.mktemp("sprites")
    for row, (layer, count) in enumerate([("body", 6), ("bottomwear", 6), ("topwear", 6), ("hair", 6), ("shoes", 2)]):
        (folder / layer).mkdir()
        for variant in range(count):
            sheet = np.zeros((21, 64, 13, 64, 4), np.uint8)
            colour = np.random.RandomState(10 * row + variant).randint(80, 256, 3)
            for cell in range(21 * 13):
                top, left = 6 + 11 * row, 10 + cell * 7 % 30
                sheet[cell // 13, top : top + 12, cell % 13, left : left + 20] = (*colour, 255 if variant else 128)
            Image.fromarray(sheet.reshape(21 * 64, 13 * 64, 4)).save(
                folder / layer / f"{variant}.png", compress_level=1
            )
    return folder


@pytest.fixture(scope="session")
def real_sprites() -> Path:
    """The dataset itself."""
    if not (REAL / "body" / "0.png").is_file():
        pytest.skip(f"no Sprites in {REAL}; set RWAE_DATA to the folder that holds sprites/")
    return REAL


@pytest.fixture(scope="session", params=["drawn", "real"])
def sprites(request: pytest.FixtureRequest) -> Path:
    """Both, one after the other."""
    return request.getfixturevalue(f"{request.param}_sprites")
