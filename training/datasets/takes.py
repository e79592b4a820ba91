"""Recordings of any length, and the clips that are in them.

Shapes: B clips, T frames of C×H×W.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

EVERY = 2
"""A clip takes every other frame, so that enough happens in it (Appendix C, of MUG)."""


class Takes:
    """Recordings of any length, kept as bytes on the device, and every clip of T of their frames, every other one.

    Clips are numbered take by take and within it by their first frame. A take too short for T has none.

    Args:
        recordings: One take after the other.
        frames: T.
        device: Where the recordings are kept.
        every: The clips of each take have every so many-th of its frames.
    """

    def __init__(
        self,
        recordings: Sequence[UInt8[Tensor, "_ C H W"]],
        frames: int,
        device: torch.device | str = "cpu",
        every: int | Sequence[int] = EVERY,
    ) -> None:
        lengths = torch.tensor([len(recording) for recording in recordings])
        steps = torch.as_tensor(every).expand(len(recordings))
        clips = (lengths - steps * (frames - 1)).clamp(min=0)
        take = torch.arange(len(recordings)).repeat_interleave(clips)
        start = torch.arange(len(take)) - (clips.cumsum(0) - clips)[take]
        self.pixels = torch.cat(list(recordings)).to(device)
        self._take = take.to(device)
        self._clips_before = torch.cat([clips.new_zeros(1), clips.cumsum(0)]).to(device)
        self._first = (start + (lengths.cumsum(0) - lengths)[take]).to(device)
        self._steps = (steps[:, None] * torch.arange(frames)).to(device)

    def __len__(self) -> int:
        return len(self._take)

    def take(self, indices: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        """Which recording each clip is from."""
        return self._take[indices.to(self._take.device)]

    def companions(self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator) -> Int[Tensor, "B count"]:
        """Random clips of each clip's recording, drawn with replacement."""
        take = self.take(indices)
        first, end = (self._clips_before[take + later, None] for later in (0, 1))
        share = torch.rand(len(indices), count, generator=generator, device=take.device)
        return torch.minimum(first + (share * (end - first)).long(), end - 1)

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T C H W"]:
        """The clips, with values in [0, 1]."""
        indices = indices.to(self._first.device)
        return self.pixels[self._first[indices][:, None] + self._steps[self._take[indices]]].float() / 255
