"""Moving shapes after Balaji et al. 2018 (Table 9): one shape on black, drawn on the device; no files.

Shapes: B clips, T frames of 3×64×64 with values in [0, 1]; places are (x, y) in pixels, y down.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor

from training.datasets.source import Source
from training.datasets.uniform import uniform

SIDE = 64
SHAPES = ("circle", "square", "triangle")
SIZES = ("small", "large")
COLOURS = ("white", "red", "green", "blue", "yellow")
MOTIONS = ("zig-zag", "straight", "diagonal")
DIRECTIONS = ("right", "down", "left", "up")
"""Of zig-zag and straight; diagonal goes down right, down left, up left and up right."""
STATICS = len(SHAPES) * len(SIZES) * len(COLOURS)
DYNAMICS = len(MOTIONS) * len(DIRECTIONS)
SPLITS = {"train": (56, 0), "validation": (3, 1), "test": (6, 2)}
"""How often a split has each of the 30 × 12 combinations (20,160, 1,080 and 2,160 clips), and its seed."""

SOURCE = Source(
    title="Moving shapes",
    needs="no files",
    origin="nowhere: clips are drawn when they are asked for",
    licence="this project's",
)

_RGB = ((1.0, 1.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 0.0))
_RADII = (4.5, 8.0)
_SQUARE = math.sqrt(math.pi) / 2
_TRIANGLE = math.sqrt(math.pi / (3 * math.sqrt(3)))
"""Distance from centre to side, in radii of the circle of the same area, so that a size is one size in each shape."""
_EXTENTS = (  # to the left, above, to the right, below the centre, in the same radii
    (1.0, 1.0, 1.0, 1.0),
    (_SQUARE, _SQUARE, _SQUARE, _SQUARE),
    (math.sqrt(3) * _TRIANGLE, 2 * _TRIANGLE, math.sqrt(3) * _TRIANGLE, _TRIANGLE),
)
_AXES = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
_SLOWEST, _FASTEST = 1.25, 2.25
_INSIDE = 16
_MARGIN = 1.0
_TURN = 4


class MovingShapes:
    """One split: every one of 30 static × 12 dynamic classes equally often, starts and speeds at random.

    - Straight follows an axis and diagonal goes at 45°, at a speed uniform in 1.25 … 2.25 pixels a frame. Zig-zag is
      straight and as fast sideways, to one side and the other by turns of 4 frames, beginning anywhere in its period.
    - Starts are uniform among those that keep the whole shape within the frame, a pixel from its edges, for T = 16.
      A longer clip begins with the same 16 frames; then the shape leaves at one edge and comes back at the opposite
      one, so that its direction stays what its label says.

    Any consecutive 60 indices hold each static class twice and each dynamic class five times, and 360 each pair once.

    Args:
        folder: Nothing is read; here because every dataset has one.
        split: "train" (20,160 clips), "validation" (1,080) or "test" (2,160); they differ in their random numbers.
        device: Where clips are drawn.
        frames: T.
    """

    source = SOURCE
    fps = 8.0
    frame_shape: tuple[int, ...] = (3, SIDE, SIDE)

    def __init__(
        self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = _INSIDE
    ) -> None:
        repeats, self.seed = SPLITS[split]
        self.length = repeats * STATICS * DYNAMICS
        self.device = torch.device(device)
        self.frames = frames
        self._colours = torch.tensor(_RGB, device=self.device)
        self._radii = torch.tensor(_RADII, device=self.device)
        self._extents = torch.tensor(_EXTENTS, device=self.device)
        self._axes = torch.tensor(_AXES, device=self.device)

    def __len__(self) -> int:
        return self.length

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """Each factor, and the classes they make: `static` of 30 (what it is) and `dynamic` of 12 (what it does)."""
        indices = indices.to(self.device)
        # 30 and 12 share the factor 6: without the shift every 60, only a sixth of the pairs would come up.
        static, dynamic = indices % STATICS, (indices + indices // 60) % DYNAMICS
        return {
            "shape": static // (len(SIZES) * len(COLOURS)),
            "size": static // len(COLOURS) % len(SIZES),
            "colour": static % len(COLOURS),
            "motion": dynamic // len(DIRECTIONS),
            "direction": dynamic % len(DIRECTIONS),
            "static": static,
            "dynamic": dynamic,
        }

    def positions(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T 2"]:
        """Each frame's centre of the shape (a triangle's is its centroid); 64 more or less is the same place."""
        indices = indices.to(self.device)
        labels = self.labels(indices)
        path = self._path(indices, labels, max(self.frames, _INSIDE))
        radius = self._radii[labels["size"]][:, None]
        before, after = (self._extents[labels["shape"]] * radius + _MARGIN).chunk(2, 1)
        # The range never depends on T: it is that of the 16 frames that have to stay inside.
        first = before - path[:, :_INSIDE].amin(1)
        last = SIDE - after - path[:, :_INSIDE].amax(1)
        start = first + (last - first) * uniform(self.seed, indices[:, None], torch.arange(2, 4, device=self.device))
        return start[:, None] + path[:, : self.frames]

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T 3 64 64"]:
        """The sequences: each pixel has its colour times the part of it that the shape covers."""
        labels = self.labels(indices)
        pixel = torch.arange(SIDE, device=self.device) + 0.5
        offset = pixel - self.positions(indices)[..., None]
        dx, dy = (offset - SIDE * (offset / SIDE).round()).unbind(2)
        radius = self._radii[labels["size"]][:, None, None]
        shape = labels["shape"][:, None, None]

        # The signed distance to the edge, positive inside, is min(a(x) + b(y), c(y)) for every shape, so what is
        # particular to one is computed on rows and columns. A circle's is (r² − d²) / 2r, which is r − d at the edge.
        # The product of what each of the two covers is truer in corners than what their minimum does.
        square, triangle = _SQUARE * radius, _TRIANGLE * radius
        a = _by_shape(shape, -dx.square() / (2 * radius), square - dx.abs(), triangle - math.sqrt(0.75) * dx.abs())
        b = _by_shape(shape, (radius - dy.square() / radius) / 2, torch.zeros_like(dy), dy / 2)
        c = _by_shape(shape, torch.full_like(dy, SIDE), square - dy.abs(), triangle - dy)
        covered = (a[..., None, :] + (b + 0.5)[..., None]).clamp_(0, 1).mul_((c + 0.5).clamp_(0, 1)[..., None])
        return covered[:, :, None] * self._colours[labels["colour"]][:, None, :, None, None]

    def _path(self, indices: Tensor, labels: dict[str, Tensor], frames: int) -> Tensor:
        """Where the shape goes from where it starts: B, T, (x, y)."""
        time = torch.arange(frames, device=self.device)
        speed = _SLOWEST + (_FASTEST - _SLOWEST) * uniform(self.seed, indices, 0)
        turns = time + 2 * _TURN * uniform(self.seed, indices, 1)[:, None]
        sideways = (turns - 2 * _TURN * (turns / (2 * _TURN)).floor() - _TURN).abs() - _TURN / 2
        along = self._axes[labels["direction"]][:, None]
        across = self._axes[(labels["direction"] + 1) % len(DIRECTIONS)][:, None]
        zigzag, diagonal = ((labels["motion"] == MOTIONS.index(motion))[:, None] for motion in ("zig-zag", "diagonal"))
        aside = torch.where(zigzag, sideways, torch.where(diagonal, time, 0.0))
        step = speed[:, None] * torch.where(diagonal, math.sqrt(0.5), 1.0)
        return step[..., None] * (time[:, None] * along + aside[..., None] * across)


def _by_shape(shape: Tensor, circle: Tensor, square: Tensor, triangle: Tensor) -> Tensor:
    return torch.where(shape == 0, circle, torch.where(shape == 1, square, triangle))
