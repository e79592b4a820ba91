"""The shipped Sprites weights, through HTTP and through the command line, on characters that training never saw."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from rwae_core.media.encode import encode_video
from service.app import create_app
from service.settings import Settings
from training.checkpoint import load_model
from training.datasets.sprites import Sprites
from training.evaluation import sprites
from training.evaluation.judge import load_judge
from training.evaluation.request import Request

sys.path.insert(0, str(Path(__file__).parent / "service"))
from serving import serving

ROOT = Path(__file__).parent.parent
SPRITES = Path(os.environ.get("RWAE_DATA", ROOT / "../shared/data")) / "sprites"
LIMIT = 8.0
"""Error in % that the shipped weights stay under."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not SPRITES.is_dir(), reason=f"no Sprites in {SPRITES}; set RWAE_DATA to what holds sprites/"),
]


def bytes_of(clip: torch.Tensor) -> np.ndarray:
    return clip.permute(0, 2, 3, 1).mul(255).round().byte().numpy()


def test_swaps_through_http_have_contents_attributes_and_motions_action() -> None:
    """200 random pairs as lossless APNG; 1 minute, and 4 more where the judge has to be trained first."""
    data = Sprites(SPRITES, "test")
    judge, _ = load_judge("sprites", sprites.RECIPE, Sprites(SPRITES, "train"), {"": data})
    content, motion = torch.randint(len(data), (2, 200), generator=torch.Generator().manual_seed(0))
    frames = []
    with serving(create_app(Settings(weights_dir=ROOT / "weights"))) as client:
        for i, j in zip(content.split(1), motion.split(1), strict=True):
            files = {
                name: encode_video(bytes_of(data.clips(index)[0]), 8, "apng")
                for name, index in (("content", i), ("motion", j))
            }
            answer = client.post("/swap", files=files, data={"format": "apng", "model": "sprites"})
            assert answer.status_code == 200, answer.text
            with Image.open(io.BytesIO(answer.content)) as image:
                frames.append(np.stack([np.asarray(f.convert("RGB")) for f in ImageSequence.Iterator(image)]))
    clips = torch.from_numpy(np.stack(frames)).permute(0, 1, 4, 2, 3).float() / 255
    intended = data.labels(content) | {"action": data.labels(motion)["action"]}
    with torch.no_grad():
        found = judge.verdict(clips)
    errors = {name: 100 * (found[name] != label).float().mean().item() for name, label in intended.items()}
    print("swap error % through HTTP:", errors)
    assert max(errors.values()) <= LIMIT


def test_the_cards_figures_are_what_evaluation_finds() -> None:
    """The three protocols once on all 2,664 test clips; 3 minutes."""
    found = sprites.evaluate(
        load_model(ROOT / "weights" / "sprites"), SPRITES, Request("sprites", "R-WAE", repeats=1), torch.device("cpu")
    )
    swap = {name: value.mean for name, value in found.section("swap").values.items()}
    print("swap error %:", swap)
    assert max(swap.values()) <= LIMIT
