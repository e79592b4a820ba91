"""A recording of any length as codes and back, in windows of the length that a model was trained on (Appendix C).

Shapes: N frames of any one shape in a recording, T in a window, W windows, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from rwae_core.errors import ShapeError
from rwae_core.gaussian import Generators
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.moments import moments

WINDOWS_AT_ONCE = 256
"""Memory for the networks' activations stays the same however long a recording is."""


def encode_recording(
    model: RWAE, recording: Float[Tensor, " N *frame"], generator: Generators | None = None
) -> Latents:
    """Codes of one recording: z^c (1, Dc) is the mean over consecutive windows, z^m (1, N, Dm) runs through it.

    The last window is filled up with the recording played backwards; its codes beyond the recording are left out.

    Args:
        model: A model without actions.
        recording: Frames in [0, 1].
        generator: Source of a draw from the posteriors; their means where absent.

    Raises:
        ShapeError: frames of another shape than the model's, or none.
    """
    windows = _windows(recording, model.config.frames)
    of = moments(recording[None])
    z_c, z_m = [], []
    for some in windows.split(WINDOWS_AT_ONCE):
        codes = model.infer(
            some,
            of=of.expand(len(some), *of.shape[1:]),
            generator=generator,
            sample=generator is not None,
        ).latents
        z_c.append(codes.z_c)
        z_m.append(codes.z_m.flatten(0, 1))
    return Latents(torch.cat(z_c).mean(0, keepdim=True), torch.cat(z_m)[None, : len(recording)])


def decode_recording(model: RWAE, latents: Latents) -> Float[Tensor, " N *frame"]:
    """The recording of codes (1, Dc) and (1, N, Dm), window by window as they were encoded.

    Raises:
        ShapeError: codes of other dimensions than the model's, or of no frame.
    """
    latents.check(model.config.content_dim, model.config.motion_dim, model.config.actions)
    frames = []
    for some in _windows(latents.z_m[0], model.config.frames).split(WINDOWS_AT_ONCE):
        frames.append(model.decode(Latents(latents.z_c.expand(len(some), -1), some)).flatten(0, 1))
    return torch.cat(frames)[: latents.z_m.shape[1]]


def _windows(sequence: Float[Tensor, " N *step"], length: int) -> Float[Tensor, "W T *step"]:
    """Consecutive windows, the last filled up by going back and forth over the sequence."""
    steps = len(sequence)
    if steps == 0:
        raise ShapeError("a recording has at least one frame; this one has none")
    order = torch.arange(-(-steps // length) * length, device=sequence.device) % (2 * steps)
    return sequence[torch.minimum(order, 2 * steps - 1 - order)].unflatten(0, (-1, length))
