"""Recordings of any length, and the clips that are in them.

Shapes: B clips, T frames of C×H×W; pictures of movement of P×P places, P = 16.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

EVERY = 2
"""A clip takes every other frame, so that enough happens in it (Appendix C, of MUG)."""
ALIKE = 5
"""Other takes that a clip's companions are from as well: those that move most like its own."""
PLACES, SHIFT = 16, 4
"""Side of a picture of where a take moves, and by how many of its places two of them may lie apart."""
COLOURS = 8
"""Shades of a channel that are told from each other."""
LOOKS, LOOKING_ALIKE = 2, 0.975
"""How many other takes a look-alike is from at most, and how much of its colours such a take has at least."""


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
        self._lengths, self._every = lengths.tolist(), steps
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
        """Random clips that probably show what each clip shows, drawn with replacement.

        They are of its own recording, or of one of those that move like it.
        """
        return self._random_clips(self._alike[self.take(indices)], count, generator)

    @cached_property
    def _alike(self) -> Int[Tensor, "takes K"]:
        """Each take, and of the others that have a clip those that move most like it."""
        clips = self._clips_before.diff()
        frames = self.pixels.split(self._lengths)
        likeness = likenesses(
            torch.stack([moving(take, int(step)) for take, step in zip(frames, self._every, strict=True)])
        )
        likeness[:, clips == 0] = -1
        likeness.fill_diagonal_(2)
        return likeness.topk(min(1 + ALIKE, int((clips > 0).sum()))).indices

    def look_alikes(self, indices: Int[Tensor, " B"], generator: torch.Generator) -> Int[Tensor, " B"]:
        """Of each clip a random one that probably shows who and where it shows, doing something else.

        It is of one of the takes that look like its own and do not move like it, or of its own where there is none.
        """
        return self._random_clips(self._look[self.take(indices)], 1, generator).squeeze(1)

    def _random_clips(
        self, among: Int[Tensor, "B K"], count: int, generator: torch.Generator
    ) -> Int[Tensor, "B count"]:
        """So many clips of any of the takes in each row, drawn with replacement."""
        size, device = (len(among), count), self.pixels.device
        take = among.gather(1, torch.randint(among.shape[1], size, generator=generator, device=device))
        first, end = (self._clips_before[take + later] for later in (0, 1))
        share = torch.rand(size, generator=generator, device=device)
        return torch.minimum(first + (share * (end - first)).long(), end - 1)

    @cached_property
    def _look(self) -> Int[Tensor, "takes K"]:
        """Of each take those that look most like it and do not move like it; itself in place of those that do not."""
        shares = torch.stack([colours(take) for take in self.pixels.split(self._lengths)])
        likeness = (shares @ shares.T).scatter(1, self._alike, -1)
        likeness[:, self._clips_before.diff() == 0] = -1
        most = likeness.topk(min(LOOKS, len(shares)))
        own = torch.arange(len(shares), device=shares.device)[:, None]
        return torch.where(most.values >= LOOKING_ALIKE, most.indices, own)

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T C H W"]:
        """The clips, with values in [0, 1]."""
        indices = indices.to(self._first.device)
        return self.pixels[self._first[indices][:, None] + self._steps[self._take[indices]]].float() / 255


def colours(take: UInt8[Tensor, "_ C H W"]) -> Float[Tensor, " K"]:
    """Square roots of the shares of all pixels of a take that have each of K = 8^C colours.

    The product of two is the Bhattacharyya coefficient of their distributions: 1 where they are one, 0 where no colour
    is in both. What a take shows is in it, and not what is done there.
    """
    shades = take.movedim(1, -1).flatten(0, -2).long() * COLOURS // 256
    # CUDA has no product of matrices of integers.
    index = (shades * COLOURS ** torch.arange(take.shape[1], device=take.device)).sum(1)
    return (torch.bincount(index, minlength=COLOURS ** take.shape[1]) / len(index)).sqrt()


def moving(take: UInt8[Tensor, "_ C H W"], every: int) -> Float[Tensor, "P P"]:
    """Where a take moves, of length 1: how much each place changes on average (motion energy, Bobick & Davis 2001).

    Light does not count, for each frame is freed of its mean and deviation; nor does what changes in half of all
    places, for that is noise.

    Args:
        take: All of its frames.
        every: From one frame to which later one.
    """
    deviation, mean = torch.std_mean(grey := take.float().mean(1), (1, 2), keepdim=True)
    grey = (grey - mean) / deviation.clamp_min(1)
    change = (grey[every:] - grey[:-every]).abs().sum(0)
    above = (change - change.median()).clamp_min(0)
    picture = functional.adaptive_avg_pool2d(above[None], PLACES)[0]
    return picture / picture.norm().clamp_min(1e-6)


def likenesses(pictures: Float[Tensor, "n P P"]) -> Float[Tensor, "n n"]:
    """The cosine of every two, of the best of all shifts by up to `SHIFT` places, one of them mirrored or not."""
    padded = functional.pad(pictures[:, None], (SHIFT,) * 4)
    both = torch.stack([functional.conv2d(padded, each[:, None]) for each in (pictures, pictures.flip(-1))])
    return both.amax((0, 3, 4))
