"""Weizmann actions as published with MoCoGAN (Tulyakov et al. 2018): 9 people × 4 actions, each a take and its mirror.

Shapes: B clips, T frames of 3×64×64 with values in [0, 1].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor

from training.datasets.errors import DataError
from training.datasets.source import Files, Source
from training.datasets.takes import Takes

SIDE = 64
PEOPLE = 9
ACTIONS = ("bend", "jack", "wave_one_hand", "wave_two_hands")
HELD_OUT: dict[str, dict[str, tuple[int, ...]]] = {
    "test": {"bend": (3, 7), "jack": (4, 8), "wave_one_hand": (1, 5), "wave_two_hands": (2, 6)},
    "validation": {"bend": (5,), "jack": (2,), "wave_one_hand": (3,), "wave_two_hands": (4,)},
}
"""Whose take of each action is not trained on."""

_OFFSETS = {"wave_two_hands": 0, "wave_one_hand": 2, "jack": 4, "bend": 6}
"""File number: 8 · person + the action's offset, and one more for the mirror."""
SOURCE = Source(
    title="Human actions",
    needs="72 videos as <data>/{bend,jack,wave_one_hand,wave_two_hands}/<number>.jpg",
    origin="github.com/sergeytulyakov/mocogan (in this order the folders 4, 3, 0 and 1 of data/actions)",
    licence="none stated; videos by Gorelick, Blank, Shechtman, Irani & Basri (Weizmann Institute)",
    folder="human_actions",
    files=(
        Files("bend/*.jpg", 18, "da427e97eb823923ef8803f4febef56694fbea53515611a54a6b3578405e1440"),
        Files("jack/*.jpg", 18, "a429d8cc94cb3202b4dbd44496b13f6722483b329de94a2b00054a1723a68f6b"),
        Files("wave_one_hand/*.jpg", 18, "51fe43b1be54964c206cb4f500b818b7f114af514ddc328fe266388a309dac76"),
        Files("wave_two_hands/*.jpg", 18, "eaf3291bb9e65164dbdccf35e3eb56d1d050fe217f2af0fd776f6127d165b63c"),
    ),
)


class HumanActions:
    """Every clip of one split's takes: T frames, every other one, from each start at which they fit.

    A take and its mirror are on the same side. Of the 36 pairs, 8 are for test (22%: the nearest to 20% with every
    action twice, each time by another person), 4 for validation, one an action, and 24 for training. Whoever is held
    out in one action is trained on in at least two others, in the same clothes: people 0, 1, 3 and 6 changed theirs
    for jack, so of jack only others are held out.

    Clips are numbered take by take and within it by their first frame, so what an index is depends on T.

    Args:
        folder: Holds a folder of strips for each action: frames of 64×64 side by side in an image.
        split: "train" (48 videos), "validation" (8) or "test" (16).
        device: Where the videos are kept, as bytes.
        frames: T.

    Raises:
        DataError: a video is missing, cannot be read or is no strip of frames, or all are too short for T.
    """

    source = SOURCE
    fps = 12.5
    frame_shape: tuple[int, ...] = (3, SIDE, SIDE)

    def __init__(self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 8) -> None:
        if folder is None:
            raise DataError(SOURCE.help)
        pairs = [(action, person) for action in ACTIONS for person in range(PEOPLE) if _split(action, person) == split]
        takes = [(action, person, mirror) for action, person in pairs for mirror in range(2)]
        paths = [Path(action) / f"{8 * person + _OFFSETS[action] + mirror:08d}.jpg" for action, person, mirror in takes]
        self.takes = Takes([_strip(Path(folder), path) for path in paths], frames, device)
        if not len(self.takes):
            raise DataError(f"no video in {folder} is long enough for clips of {frames} frames, every other one")
        self.device = torch.device(device)
        self.frames = frames
        self._actions = torch.tensor([ACTIONS.index(action) for action, _, _ in takes], device=self.device)
        self._people = torch.tensor([person for _, person, _ in takes], device=self.device)

    def __len__(self) -> int:
        return len(self.takes)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The action, in the order of `ACTIONS`, and the person."""
        take = self.takes.take(indices)
        return {"action": self._actions[take], "person": self._people[take]}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T 3 64 64"]:
        """The clips themselves."""
        return self.takes.clips(indices)

    def companions(self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator) -> Int[Tensor, "B count"]:
        """Random clips of each clip's take or of takes that move like it, drawn with replacement."""
        return self.takes.companions(indices, count, generator)

    def look_alikes(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """Of each clip one of a take that looks like its own and does not move like it."""
        return self.takes.look_alikes(indices, generator)


def _split(action: str, person: int) -> str:
    return next((split for split, held_out in HELD_OUT.items() if person in held_out[action]), "train")


def _strip(folder: Path, path: Path) -> Tensor:
    """The frames of one video: frame, RGB, height, width."""
    if not (folder / path).is_file():
        raise DataError(f"{path} is missing in {folder}. {SOURCE.help}")
    try:
        with Image.open(folder / path) as image:
            strip = torch.from_numpy(np.array(image.convert("RGB")))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} in {folder} cannot be read: {error}. Fetch it again. {SOURCE.help}") from error
    height, width, _ = strip.shape
    if height != SIDE or width % SIDE:
        raise DataError(f"{path} in {folder} is {width}×{height} pixels; a strip is of 64×64 frames side by side")
    return strip.unflatten(1, (-1, SIDE)).permute(1, 3, 0, 2).contiguous()
