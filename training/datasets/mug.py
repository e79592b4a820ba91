"""MUG facial expressions (Aifanti et al. 2010) in the layout they are distributed in, cropped to the face.

Shapes: B clips, T frames of 3×64×64 with values in [0, 1].
"""

from __future__ import annotations

import hashlib
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
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
EXPRESSIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
SPLITS = {"test": (0.0, 0.2), "validation": (0.2, 0.28), "train": (0.28, 1.0)}
"""Each split's share of every expression's takes, in the order of the hashes of their names."""
FACE = (0.25, 0.25, 0.75, 0.75)
"""Left, top, right and bottom of the face, as fractions of the frame: the middle half of 896×896."""

SOURCE = Source(
    title="MUG",
    needs="<data>/<subject>/[session<n>/]<expression>/take<nnn>/*.jpg, subjects being numbers (<data> is subjects3 of "
    "the archive)",
    origin="https://mug.ee.auth.gr/fed/, who give it on request",
    licence="for research, by agreement with its makers",
    folder="mug",
    files=(Files("**/take[0-9][0-9][0-9]"),),
)


class MUG:
    """Every clip of one split's takes: T frames, every other one (Appendix C), from each start at which they fit.

    The six expressions of the paper: `neutral`, and whatever else lies in a subject's folder, is left out. 20% of each
    expression's takes are for test, as in the paper, 8% for validation and 72% for training, chosen by the SHA-256 of
    their names; a subject's takes are on all sides. A take too short for T has no clips, but counts for the split.
    There is no face detector here: the crop is the same in all frames, so look at some before training.

    Clips are numbered take by take and within it by their first frame, so what an index is depends on T. All frames of
    the split are decoded when it is opened, on all cores, and kept as bytes: 12 kB each, some 0.8 GB for training.

    Args:
        folder: Holds one folder for each subject, or `subjects3` that does.
        split: "train", "validation" or "test".
        device: Where the frames are kept.
        frames: T.
        face: Left, top, right and bottom of the crop, as fractions of the frame's width and height.

    Raises:
        DataError: there are no takes, or none long enough; a frame is missing or cannot be read.
    """

    source = SOURCE
    fps = 9.5
    frame_shape: tuple[int, ...] = (3, SIDE, SIDE)

    def __init__(
        self,
        folder: Path | None,
        split: str,
        device: torch.device | str = "cpu",
        *,
        frames: int = 10,
        face: tuple[float, float, float, float] = FACE,
    ) -> None:
        if folder is None or not Path(folder).is_dir():
            raise DataError(f"{folder} is not a folder. {SOURCE.help}" if folder else SOURCE.help)
        root = Path(folder) / "subjects3"
        root = root if root.is_dir() else Path(folder)
        names = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name.isdigit())
        takes = [
            (expression, subject, take)
            for expression in range(len(EXPRESSIONS))
            for subject, take in _chosen(root, names, EXPRESSIONS[expression], split)
        ]
        if not takes:
            raise DataError(f"{folder} holds no takes for {split}. {SOURCE.help}")
        with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes without the interpreter's lock
            recordings = [
                torch.from_numpy(np.stack(list(pool.map(lambda path: _face(root, path, face), _frames(root, take)))))
                for _, _, take in takes
            ]
        self.takes = Takes(recordings, frames, device)
        if not len(self.takes):
            raise DataError(f"no take of {split} in {folder} is long enough for clips of {frames} frames")
        self.device = torch.device(device)
        self.frames = frames
        self.subjects = tuple(names)
        self._expressions = torch.tensor([expression for expression, _, _ in takes], device=self.device)
        self._subjects = torch.tensor([subject for _, subject, _ in takes], device=self.device)

    def __len__(self) -> int:
        return len(self.takes)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The subject, in the order of `subjects` (all splits have the same), and the expression, of `EXPRESSIONS`."""
        take = self.takes.take(indices)
        return {"subject": self._subjects[take], "expression": self._expressions[take]}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T 3 64 64"]:
        """The clips themselves."""
        return self.takes.clips(indices)

    def companions(self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator) -> Int[Tensor, "B count"]:
        """Random clips of each clip's take or of takes that move like it, drawn with replacement."""
        return self.takes.companions(indices, count, generator)

    def look_alikes(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """Of each clip one of a take that looks like its own and does not move like it."""
        return self.takes.look_alikes(indices, generator)


def _chosen(root: Path, subjects: list[str], expression: str, split: str) -> list[tuple[int, Path]]:
    """This split's takes of one expression, each with its subject."""
    takes = [
        (subject, take)
        for subject, name in enumerate(subjects)
        for pattern in (f"{expression}/*", f"*/{expression}/*")  # some subjects came for several sessions
        for take in (root / name).glob(pattern)
        if re.fullmatch(r"take\d+", take.name)
    ]
    takes.sort(key=lambda pair: hashlib.sha256(pair[1].relative_to(root).as_posix().encode()).digest())
    first, end = (round(share * len(takes)) for share in SPLITS[split])
    return takes[first:end]


def _frames(root: Path, take: Path) -> list[Path]:
    """The frames of one take in order; their names end in consecutive numbers."""
    numbered = {}
    for path in take.iterdir():
        number = re.search(r"\d+$", path.stem)
        if number and path.suffix.lower() == ".jpg":
            numbered[int(number[0])] = path
    again = "Unpack that take again, or remove its folder to go without it."
    if not numbered:
        raise DataError(f"{take.relative_to(root)} in {root} holds no frames. {again}")
    missing = next((n for n in range(min(numbered), max(numbered)) if n not in numbered), None)
    if missing is not None:
        before = numbered[missing - 1].relative_to(root)
        raise DataError(f"frame {missing}, after {before} in {root}, is missing. {again}")
    return [numbered[n] for n in sorted(numbered)]


def _face(root: Path, path: Path, face: tuple[float, float, float, float]) -> np.ndarray:
    """One frame, cropped and resized: RGB, height, width."""
    left, top, right, bottom = face
    try:
        with Image.open(path) as image:
            # JPEG decodes to an eighth, a quarter or half of its size for less: never to fewer pixels than are kept.
            image.draft("RGB", (math.ceil(SIDE / (right - left)), math.ceil(SIDE / (bottom - top))))
            box = (left * image.width, top * image.height, right * image.width, bottom * image.height)
            pixels = np.array(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC, box))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(
            f"{path.relative_to(root)} in {root} cannot be read: {error}. Unpack it again, or remove its take's folder."
        ) from error
    return pixels.transpose(2, 0, 1)
