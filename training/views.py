"""What each posterior sees of a clip in training: changes of one factor only, so that the other factor's code pays.

Shapes: B clips, T frames of C×H×W or of K bins with values in [0, 1]; S frames of a content view, W windows of a
recording.
"""

from __future__ import annotations

from math import log

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from rwae_core.moments import moments

LIGHT, LIGHT_GRID = 0.9, (6, 6)
"""Standard deviation of the logarithm of the light, and the places at which it is drawn."""

STRETCH, TILT, DEPTH, CURVE_POINTS = 0.06, 0.08, 0.2, 6
"""Standard deviations of the logarithm of the stretch, of the tilt (8 dB) and of the logarithm of the depth; tilt and
depth are drawn at so many frequencies."""

DECADES = 10
"""Of power, in a spectrum's range of 0 to 1 (100 dB)."""
NOISE_LEVELS = (0.15, 0.5)
"""From what to what level of a spectrum noise is: 15 to 50 dB above its floor."""


def random_steps(clip: Float[Tensor, "B T *frame"], count: int, generator: torch.Generator) -> Int[Tensor, "B S"]:
    """Indices of `count` different frames of each clip, in random order."""
    batch, steps = clip.shape[:2]
    return torch.rand(batch, steps, generator=generator, device=clip.device).argsort(1)[:, :count]


def at_steps(clip: Float[Tensor, "B T *frame"], steps: Int[Tensor, "B S"]) -> Float[Tensor, "B S *frame"]:
    """These frames of each clip."""
    first = clip.shape[1] * torch.arange(len(clip), device=clip.device)[:, None]
    return clip.flatten(0, 1).index_select(0, (first + steps).flatten()).unflatten(0, steps.shape)


def content_view(
    clip: Float[Tensor, "B T C H W"], count: int, generator: torch.Generator, *, mirrored: bool = True
) -> Float[Tensor, "B S C H W"]:
    """A few frames: keeps what the object is, hides their order and, in half of the clips mirrored, left from right."""
    frames = at_steps(clip, random_steps(clip, count, generator))
    if not mirrored:
        return frames
    turned = torch.rand(len(clip), 1, 1, 1, 1, generator=generator, device=clip.device) < 0.5
    return torch.where(turned, frames.flip(-1), frames)


def warped(clip: Float[Tensor, "B T C H W"], generator: torch.Generator | None = None) -> Float[Tensor, "B T C H W"]:
    """Each clip as a whole shifted by up to 8%, zoomed by up to 15%, mirrored or not, and its channels rescaled."""
    batch, device = len(clip), clip.device

    def uniform(*shape: int) -> Tensor:
        return torch.rand(batch, *shape, generator=generator, device=device)

    zoom = 1 + 0.15 * (2 * uniform(1) - 1)
    side = zoom * torch.where(uniform(1) < 0.5, -1.0, 1.0)
    shift = 0.16 * (2 * uniform(2) - 1)
    none = torch.zeros_like(zoom)
    matrix = torch.stack([torch.cat([side, none, shift[:, :1]], 1), torch.cat([none, zoom, shift[:, 1:]], 1)], 1)
    shape = (batch, clip.shape[1] * clip.shape[2], *clip.shape[3:])
    grid = functional.affine_grid(matrix, list(shape), align_corners=False)
    moved = functional.grid_sample(clip.flatten(1, 2), grid, padding_mode="border", align_corners=False)
    scale = 1 + 0.3 * (2 * uniform(1, clip.shape[2], 1, 1) - 1)
    offset = 0.15 * (2 * uniform(1, clip.shape[2], 1, 1) - 1)
    return (moved.view_as(clip) * scale + offset).clamp(0, 1)


def motion_view(
    clip: Float[Tensor, "B T C H W"], generator: torch.Generator, *, lit: bool = True
) -> Float[Tensor, "B T C H W"]:
    """Colours mixed and lit at random, the same in all frames of a clip: keeps what it does, hides its colours.

    Each clip's channels are averaged with random weights, `lit` by smooth random fields, one a channel, that differ
    from place to place (so that no garment keeps its brightness; on a bright background it hides what is before it,
    too), and bent by a gamma a channel.
    """
    batch, _, channels, height, width = clip.shape

    def normal(*shape: int) -> Tensor:
        return torch.randn(batch, *shape, generator=generator, device=clip.device)

    weights = torch.rand(batch, channels, channels, generator=generator, device=clip.device).square()
    mixed = torch.einsum("bij,btjhw->btihw", weights / weights.sum(2, keepdim=True), clip)
    if lit:
        light = functional.interpolate(LIGHT * normal(channels, *LIGHT_GRID), (height, width), mode="bilinear")
        mixed = (mixed * light.exp()[:, None]).clamp(0, 1)
    return mixed.pow(torch.exp(0.5 * normal(1, channels, 1, 1)))


def new_voice(
    clip: Float[Tensor, "B T K"], recording: Float[Tensor, "B W T K"], generator: torch.Generator
) -> tuple[Float[Tensor, "B T K"], Float[Tensor, "B W T K"]]:
    """Clip and recording as if somebody else had said it elsewhere: more voices and rooms than were recorded.

    Both are changed alike, as `motion_voice` changes a clip, and half of the recordings get `noise`, so this is new
    data rather than a view of one posterior.
    """
    columns = torch.cat([clip, recording.flatten(1, 2)], 1)
    heard = noise(motion_voice(columns, moments(columns), generator)[0], generator).clamp(0, 1)
    return heard[:, : clip.shape[1]], heard[:, clip.shape[1] :].view_as(recording)


def deepened(clip: Float[Tensor, "B T K"], mean: Float[Tensor, "B 1 K"], depth: float) -> Float[Tensor, "B T K"]:
    """Each clip with its differences from its recording's mean so many times as large.

    What is decoded of codes is an average over all that they may stand for, and flatter than any of it.
    """
    return mean + depth * (clip - mean)


def noise(clip: Float[Tensor, "B T K"], generator: torch.Generator) -> Float[Tensor, "B T K"]:
    """Four of every eight clips in a noisier room: steady noise of a random level and colour is added to their power.

    Of noise, the power in a column and a bin is distributed exponentially around its mean.

    Args:
        clip: Log-magnitude spectra.
        generator: Source of what is drawn.
    """
    batch, _, bins = clip.shape
    # So half of any that lie two or four apart are among them.
    chosen = torch.cat([torch.arange(min(row, batch), batch, 8, device=clip.device) for row in range(4)]).sort().values
    some = clip[chosen]
    lowest, highest = NOISE_LEVELS
    colour = TILT * torch.randn(len(some), 1, CURVE_POINTS, generator=generator, device=clip.device)
    level = lowest + (highest - lowest) * torch.rand(len(some), 1, 1, generator=generator, device=clip.device)
    level = level + functional.interpolate(colour, bins, mode="linear", align_corners=True)
    drawn = torch.rand(some.shape, generator=generator, device=clip.device).clamp_min(1e-6).log()
    decade = log(10)
    power = (DECADES * decade * some).exp() - (DECADES * decade * level).exp() * drawn
    return clip.index_copy(0, chosen, power.log() / (DECADES * decade))


def motion_voice(
    clip: Float[Tensor, "B T K"], of: Float[Tensor, "B 2 K"], generator: torch.Generator
) -> tuple[Float[Tensor, "B T K"], Float[Tensor, "B 2 K"]]:
    """Spoken by another voice in another room: keeps what is said, hides by whom and how it was recorded.

    Each clip's frequencies are stretched by one random factor, as by another length of the vocal tract, in the moments
    of its recording too. Its differences from that mean are deepened or flattened by a random curve over frequency, and
    another curve is added, both to the clip alone, as if its moments had been another's.

    Args:
        clip: Windows of log-magnitude spectra.
        of: `moments` of the recording of each.
        generator: Source of what is drawn.
    """
    bins = clip.shape[-1]

    def normal(points: int) -> Float[Tensor, "B points"]:
        return torch.randn(len(clip), points, generator=generator, device=clip.device)

    def curve(std: float) -> Float[Tensor, "B 1 K"]:
        points = std * normal(CURVE_POINTS)[:, None]
        return functional.interpolate(points, bins, mode="linear", align_corners=True)

    places = torch.exp(STRETCH * normal(1)) * torch.arange(bins, device=clip.device)
    below = places.floor().long().clamp(max=bins - 1)
    columns = torch.cat([clip, of], 1)

    def at(index: Int[Tensor, "B K"]) -> Float[Tensor, "B _ K"]:
        return columns.gather(2, index[:, None].expand_as(columns))

    share = (places - below).clamp(0, 1)[:, None]
    stretched = at(below).lerp(at((below + 1).clamp(max=bins - 1)), share)
    heard, mean = stretched[:, :-2], stretched[:, -2:-1]
    return mean + curve(DEPTH).exp() * (heard - mean) + curve(TILT), stretched[:, -2:]
