"""Pictures of what a model draws: swaps as in Fig. 2, generated clips as in Figs. 3 to 5, content kept as in Fig. 12.

Each comes as a GIF in which all clips play at once, and as a PNG sheet with each clip's frames side by side; both have
256 colours, for a page holds many of them. Every pixel is the model's.
Shapes: n clips, R rows, K columns, T frames of C×H×W with values in [0, 1].
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rwae_core.latents import Latents
from rwae_core.media.encode import encode_video
from training.datasets import Dataset
from training.evaluation.findings import Picture
from training.sequence_model import SequenceModel

GAP, GREY = 4, 0.15
SHEET_FRAMES = 10
"""As many frames of a clip as a sheet shows, evenly spaced from its first to its last."""
DECODED_FRAMES = 512
"""At most so many frames are decoded at once, whatever the clips' length: the memory of the widest networks."""


@torch.no_grad()
def swap_table(
    model: SequenceModel, contents: Float[Tensor, "R T *frame"], motions: Float[Tensor, "K T *frame"]
) -> Float[Tensor, "R+1 K+1 T *frame"]:
    """z^c of each of `contents` with z^m (and action) of each of `motions`: a row a content, a column a motion.

    The first row and column are reconstructions, of the motions' clips and of the contents'; the corner is black.

    Raises:
        UnsupportedError: the model does not encode clips.
    """
    kept, moved = model.encode(contents), model.encode(motions)
    first_row, first_column = _decode(model, moved), _decode(model, kept)
    rows = [torch.cat([torch.zeros_like(first_row[:1]), first_row])]
    for row, z_c in enumerate(kept.z_c):
        swapped = _decode(model, Latents(z_c.expand(len(motions), -1), moved.z_m, moved.action))
        rows.append(torch.cat([first_column[row : row + 1], swapped]))
    return torch.stack(rows)


def swap_figure(
    model: SequenceModel,
    data: Dataset,
    contents: Int[Tensor, " R"],
    motions: Int[Tensor, " K"],
    *,
    name: str,
    caption: str,
    figure: int | None = None,
) -> list[Picture]:
    """Fig. 2: the table of `swap_table` of clips of a dataset, given by their indices, at the dataset's rate.

    Raises:
        UnsupportedError: the model does not encode clips.
    """
    table = swap_table(model, data.clips(contents), data.clips(motions))
    return _pictures(table, data.fps, name=name, caption=caption, figure=figure)


@torch.no_grad()
def generated(
    model: SequenceModel,
    frames: int,
    n: int,
    generator: torch.Generator,
    *,
    fps: float,
    name: str,
    caption: str,
    figure: int | None = None,
) -> list[Picture]:
    """Figs. 3 to 5: n clips with all codes from the priors, nearly in a square.

    Of a model with A actions, a row is an action and a column one draw of z^c and z^m, the same in all its rows:
    A · max(1, ⌊n / A⌋) clips.

    Raises:
        ShapeError: fewer than one clip or frame.
    """
    codes = model.sample(n, frames, generator)
    if codes.action is None:
        columns = math.ceil(math.sqrt(n))
    else:
        actions = codes.action.shape[1]
        columns = max(1, n // actions)
        each = torch.eye(actions).to(codes.action).repeat_interleave(columns, 0)
        codes = Latents(codes.z_c[:columns].repeat(actions, 1), codes.z_m[:columns].repeat(actions, 1, 1), each)
    clips = _decode(model, codes)
    rows = math.ceil(len(clips) / columns)
    table = clips.new_full((rows * columns, *clips.shape[1:]), GREY)
    table[: len(clips)] = clips
    moving, _ = _pictures(table.unflatten(0, (rows, columns)), fps, name=name, caption=caption, figure=figure)
    _, sheet = _pictures(clips[:, None], fps, name=name, caption=caption, figure=figure)
    return [moving, sheet]


@torch.no_grad()
def kept_content(
    model: SequenceModel,
    codes: Latents,
    draws: int,
    generator: torch.Generator,
    *,
    fps: float,
    name: str,
    caption: str,
    figure: int | None = None,
) -> list[Picture]:
    """Fig. 12: a row keeps the z^c of one clip; its reconstruction, then clips with z^m (and action) from the prior."""
    columns = [_decode(model, codes)]
    for _ in range(draws):
        drawn = model.sample(len(codes.z_c), codes.z_m.shape[1], generator, z_c=codes.z_c)
        columns.append(_decode(model, drawn))
    return _pictures(torch.stack(columns, 1), fps, name=name, caption=caption, figure=figure)


def small_png(image: Image.Image) -> bytes:
    """A still in a palette of 256 colours, which takes a third or less of what true colours do."""
    file = io.BytesIO()
    image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def _decode(model: SequenceModel, codes: Latents) -> Float[Tensor, "n T *frame"]:
    clips = []
    for some in torch.arange(len(codes.z_c), device=codes.z_c.device).split(
        max(1, DECODED_FRAMES // codes.z_m.shape[1])
    ):
        action = None if codes.action is None else codes.action[some]
        clips.append(model.decode(Latents(codes.z_c[some], codes.z_m[some], action)))
    return torch.cat(clips)


def _pictures(
    table: Float[Tensor, "R K T C H W"], fps: float, *, name: str, caption: str, figure: int | None
) -> list[Picture]:
    """The moving table and its sheet, which is called `<name>-sheet`."""
    rows, columns, length, channels, height, width = table.shape
    shown = min(length, SHEET_FRAMES)
    # In float64, the same steps on every device; not the last frame alone where there is but one.
    steps = torch.linspace(0, length - 1, shown, dtype=torch.float64).round().long().to(table.device)
    still = table[:, :, steps].movedim(2, 4).reshape(rows, columns, 1, channels, height, shown * width)
    frames = f"{shown} of {length} frames" if shown < length else "all frames" if length > 1 else "its one frame"
    film = _page(table)
    return [
        Picture(
            name, caption, "image/gif", encode_video(film, fps, "gif"), figure, film=encode_video(film, fps, "mp4")
        ),
        Picture(
            f"{name}-sheet",
            f"{caption} Of each clip {frames}, side by side.",
            "image/png",
            small_png(Image.fromarray(_page(still)[0])),
            figure,
        ),
    ]


def _page(table: Float[Tensor, "R K T C H W"]) -> NDArray[np.uint8]:
    """Frames (T, height, width, 3), of grey clips too: rows and columns laid out with gaps between them."""
    rows, columns, steps, _, height, width = table.shape
    page = torch.full((steps, rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), GREY)
    for row in range(rows):
        for column in range(columns):
            top, left = row * (height + GAP), column * (width + GAP)
            page[:, top : top + height, left : left + width] = table[row, column].movedim(1, -1)
    return page.mul(255).round().byte().numpy()
