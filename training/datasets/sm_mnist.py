"""Stochastic Moving MNIST with one digit (Denton & Fergus 2018; Appendix C): rendered on the device, for any T.

Shapes: B clips, T frames of 1×64×64 with values in [0, 1]; places and velocities are (x, y) in pixels.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets.errors import DataError
from training.datasets.source import Files, Source
from training.datasets.uniform import integers

SIDE = 64
DIGIT = 28
SPAN = SIDE - DIGIT
"""The furthest a digit's left or top edge can be from the frame's."""
FASTEST = 4
"""Pixels a frame, along each axis."""
HELD_OUT = 5000
SPLITS = {"train": ("train", 0), "validation": ("train", 1), "test": ("t10k", 2)}
"""The file's prefix and the seed of each split's trajectories."""

_IMAGES, _LABELS = 2051, 2049
SOURCE = Source(
    title="SM-MNIST",
    needs="MNIST as <data>/{train,t10k}-{images-idx3,labels-idx1}-ubyte, with or without .gz",
    origin="LeCun, Cortes & Burges (http://yann.lecun.com/exdb/mnist/) or a mirror "
    "(https://ossci-datasets.s3.amazonaws.com/mnist/)",
    licence="CC BY-SA 3.0, as the documentation of Keras says",
    folder="mnist",
    files=(  # md5 of the raw files, as many repositories print them
        Files("train-images-idx3-ubyte", 1, "6bbc9ace898e44ae57da46a324031adb"),
        Files("train-labels-idx1-ubyte", 1, "a25bea736e30d166cdddb491f175f624"),
        Files("t10k-images-idx3-ubyte", 1, "2646ac647ad5339dbf082846283269ea"),
        Files("t10k-labels-idx1-ubyte", 1, "27ae3e4e09519cfbb04c329615203637"),
    ),
)


class SMMNIST:
    """One sequence for each digit of one split: it moves straight until a wall sends it off at a random velocity.

    Each component of the velocity is a whole number of pixels in −4 … 4, drawn once at the start (a digit may stand
    still) and again at every bounce. Who reaches a wall is put onto it, loses what would have led further, and leaves
    with a component of 1 … 4 away from it and any other along it; in a corner both components lead away.

    Args:
        folder: Holds the idx files, raw or with .gz.
        split: "train" (all training digits but the last 5,000), "validation" (those) or "test" (10,000 digits).
        device: Where clips are rendered.
        frames: T. A longer clip begins with the shorter one.

    Raises:
        DataError: a file is missing, damaged, or not what its name says.
    """

    source = SOURCE
    fps = 10.0
    frame_shape: tuple[int, ...] = (1, SIDE, SIDE)

    def __init__(self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 8) -> None:
        prefix, self.seed = SPLITS[split]
        if folder is None:
            raise DataError(SOURCE.help)
        images = _idx(Path(folder), f"{prefix}-images-idx3-ubyte", _IMAGES, (DIGIT, DIGIT))
        labels = _idx(Path(folder), f"{prefix}-labels-idx1-ubyte", _LABELS, ())
        if len(images) != len(labels):
            raise DataError(f"{folder} holds {len(images)} {prefix} images and {len(labels)} labels. {SOURCE.help}")
        if prefix == "train":
            if len(images) <= HELD_OUT:
                raise DataError(
                    f"{folder} holds {len(images)} training digits; {HELD_OUT} are for validation. {SOURCE.help}"
                )
            chosen = slice(-HELD_OUT) if split == "train" else slice(-HELD_OUT, None)
            images, labels = images[chosen], labels[chosen]
        self.device = torch.device(device)
        self.digits = images.to(self.device)
        self.digit_labels = labels.long().to(self.device)
        self.frames = frames

    def __len__(self) -> int:
        return len(self.digits)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The digit."""
        return {"digit": self.digit_labels[indices.to(self.device)]}

    def positions(self, indices: Int[Tensor, " B"]) -> Int[Tensor, "B T 2"]:
        """Each frame's left and top edge of the digit, (x, y) in 0 … 36."""
        index = indices.to(self.device)[:, None]
        axis = torch.arange(2, device=self.device)
        step = 4 + 4 * torch.arange(self.frames, device=self.device)[:, None] + axis
        place = integers(self.seed, index, axis, SPAN + 1)
        velocity = integers(self.seed, index, 2 + axis, 2 * FASTEST + 1) - FASTEST
        along = integers(self.seed, index[:, None], step, 2 * FASTEST + 1) - FASTEST
        away = integers(self.seed, index[:, None], step + 2, FASTEST) + 1

        places = []
        for t in range(self.frames):
            low, high = place <= 0, place >= SPAN
            place = place.clamp(0, SPAN)
            redrawn = torch.where(low, away[:, t], torch.where(high, -away[:, t], along[:, t]))
            velocity = torch.where((low | high).any(1, keepdim=True), redrawn, velocity)
            places.append(place)
            place = place + velocity
        return torch.stack(places, 1)

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T 1 64 64"]:
        """The sequences: black frames into which the digits' pixels are scattered."""
        indices = indices.to(self.device)
        x, y = self.positions(indices).unbind(2)
        row = torch.arange(DIGIT, device=self.device)
        window = (row[:, None] * SIDE + row).flatten()
        pixels = (y * SIDE + x)[..., None] + window
        digits = self.digits[indices].flatten(1).float() / 255
        frames = torch.zeros(*x.shape, SIDE * SIDE, device=self.device)
        frames.scatter_(2, pixels, digits[:, None].expand_as(pixels))
        return frames.unflatten(2, self.frame_shape)


def _idx(folder: Path, name: str, magic: int, shape: tuple[int, ...]) -> Tensor:
    """The bytes of one idx file: items, then this shape."""
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise DataError(f"{folder / name} is missing, and so is {name}.gz. {SOURCE.help}")
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read: {error}. Fetch it again. {SOURCE.help}") from error
    header = 4 * (2 + len(shape))
    if len(data) < header or struct.unpack_from(">i", data)[0] != magic:
        raise DataError(
            f"{path} is not an idx file of the kind its name says (magic {magic}). Fetch it again. {SOURCE.help}"
        )
    count, *found = struct.unpack_from(f">{1 + len(shape)}i", data, 4)
    if tuple(found) != shape:
        raise DataError(f"{path} holds items of shape {tuple(found)}, not {shape}. {SOURCE.help}")
    expected = header + count * int(np.prod(shape, dtype=int))
    if len(data) != expected:
        raise DataError(
            f"{path} holds {len(data)} bytes, not the {expected} of its header. Fetch it again. {SOURCE.help}"
        )
    return torch.from_numpy(np.frombuffer(data, np.uint8, offset=header).reshape(-1, *shape).copy())
