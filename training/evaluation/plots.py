"""Plots: t-SNE of codes, DET curves, the terms of a training run, and matrices of spectrograms, as PNG.

They are drawn on figures of their own, so that nothing else that draws with matplotlib is touched.
Shapes: n codes of D dimensions; R rows and K columns of spectrograms of F bins and T columns.
"""

from __future__ import annotations

import io
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray
from PIL import Image
from sklearn.manifold import TSNE
from torch import Tensor

from training.evaluation.findings import Picture
from training.evaluation.pictures import small_png

POINTS = 1500
DPI = 110
RATES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 40, 50, 60, 80)
"""Rates in % with a tick on the axes of DET curves; the axes end at the first and the last."""
LINES = ("-", "--", "-.", ":")
MARKERS = "os^Dv<>PX*"
UNITS = {"kl": "nats", "swap": "%", "error": "squared error a clip", "reconstruction": "cost a clip"}
"""Of the terms of a run, by the beginning or the end of their names."""

Curve = tuple[NDArray[np.floating], NDArray[np.floating]]


def tsne(
    codes: Float[Tensor, "n D"],
    labels: Int[Tensor, " n"],
    names: Sequence[str],
    *,
    name: str,
    caption: str,
    figure: int | None = None,
    seed: int = 0,
) -> Picture:
    """Fig. 6: codes laid out in two dimensions by t-SNE, coloured and named by label.

    Args:
        codes: One row a sequence; of more than `POINTS` so many are drawn at random.
        labels: Index of each code's name.
        names: A name for each label.
        name: Of the picture.
        caption: Of the picture.
        figure: Number of the paper's figure.
        seed: Decides which codes, and where t-SNE starts.
    """
    shown = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))[:POINTS]
    places, classes = embed(codes.cpu()[shown], seed), labels.cpu()[shown].numpy()
    drawing = Figure(figsize=(7.5, 6.5), dpi=DPI, layout="constrained")
    axes = drawing.add_subplot(xlabel="t-SNE dimension 1 (no unit)", ylabel="t-SNE dimension 2 (no unit)")
    axes.set(xticks=[], yticks=[], title=f"{len(shown)} codes by {len(set(classes.tolist()))} labels")
    for label, text in enumerate(names):
        own = places[classes == label]
        if len(own):
            marker = MARKERS[label % len(MARKERS)]
            axes.plot(*own.T, marker, color=f"C{label % 10}", markersize=4, alpha=0.7, markeredgewidth=0)
            centre = float(np.median(own[:, 0])), float(np.median(own[:, 1]))
            written = axes.text(*centre, text, ha="center", va="center", fontsize=10, weight="bold")
            written.set_path_effects([withStroke(linewidth=3, foreground="white")])
    return _picture(drawing, name, caption, figure)


def embed(codes: Float[Tensor, "n D"], seed: int) -> NDArray[np.floating]:
    """Places (n, 2) of codes by t-SNE (van der Maaten & Hinton 2008), the same for the same seed.

    It starts from noise, not from principal components, which codes that have collapsed into one point lack.
    """
    neighbours = min(30.0, (len(codes) - 1) / 3)
    return TSNE(perplexity=neighbours, init="random", random_state=seed).fit_transform(codes.float().numpy())


def det(curves: dict[str, Curve], *, name: str, caption: str, figure: int | None = None) -> Picture:
    """Detection error tradeoff: false rejection against false acceptance on axes of normal deviates.

    Args:
        curves: By what they are of, such as "R-WAE z^c, EER 4.7%": rates of false acceptance and of false rejection
            at each threshold, in 0 … 1.
        name: Of the picture.
        caption: Of the picture.
        figure: Number of the paper's figure.
    """
    drawing = Figure(figsize=(7, 7), dpi=DPI, layout="constrained")
    draw_det(drawing.add_subplot(), curves)
    return _picture(drawing, name, caption, figure)


def draw_det(axes: Axes, curves: dict[str, Curve]) -> None:
    """A line a curve, straight for scores of two Gaussians of one variance, and the diagonal of equal error."""
    ends = _deviates([RATES[0] / 100, RATES[-1] / 100])
    for index, (text, (accepted, rejected)) in enumerate(curves.items()):
        # Rates of 0 and 1 are infinitely far: they are drawn where the axes end, or past it.
        axes.plot(
            *(_deviates(np.clip(rates, 1e-6, 1 - 1e-6)) for rates in (accepted, rejected)),
            LINES[index % len(LINES)],
            color=f"C{index % 10}",
            linewidth=2,
            label=text,
        )
    axes.plot(ends, ends, color="0.6", linewidth=1, zorder=0)
    axes.annotate("equal error", (ends[0], ends[0]), (6, 2), textcoords="offset points", rotation=45, color="0.4")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(FixedLocator(_deviates([rate / 100 for rate in RATES]).tolist()))
        axis.set_minor_locator(NullLocator())
        axis.set_ticklabels([f"{rate:g}" for rate in RATES])
    axes.set(xlim=ends, ylim=ends, xlabel="false acceptance, %", ylabel="false rejection, %", aspect="equal")
    axes.grid(color="0.9")
    axes.legend(loc="upper right", fontsize=10)


def training_curves(log: Path, *, name: str, caption: str) -> Picture:
    """A panel for each term of a run's `log.jsonl`, unweighted, and for what was watched on held-out clips.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: the log has no line yet.
    """
    terms, weights = read_log(log)
    columns = min(4, len(terms))
    rows = math.ceil(len(terms) / columns)
    drawing = Figure(figsize=(2.6 * columns, 0.4 + 2.1 * rows), dpi=DPI, layout="constrained")
    for index, (term, points) in enumerate(terms.items()):
        axes = drawing.add_subplot(rows, columns, index + 1)
        iterations, values = zip(*points, strict=True)
        axes.plot(iterations, values, "." if len(points) == 1 else "-", color="C0", linewidth=1.2)
        if min(values) > 0 and max(values) > 20 * min(values):
            axes.set_yscale("log")
        weighed = f" × {weights[term]:g}" if term in weights else ""
        axes.set_title(term.replace("_", " ") + weighed, fontsize=9)
        axes.set_ylabel(_unit(term), fontsize=8)
        axes.tick_params(labelsize=7, which="both")
        axes.grid(color="0.9")
    drawing.supxlabel("iteration", fontsize=9)
    return _picture(drawing, name, caption, None)


def read_log(log: Path) -> tuple[dict[str, list[tuple[int, float]]], dict[str, float]]:
    """Each term of a run's log as (iteration, value), and the weights that terms end with.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: the log has no line yet.
    """
    terms: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
    weights = {}
    for line in log.read_text().splitlines():
        values = json.loads(line)
        iteration = values.pop("iteration")
        for key, value in values.items():
            if key.startswith("weight_"):
                weights[key.removeprefix("weight_")] = value
            else:
                terms[key].append((iteration, value))
    if not terms:
        raise ValueError(f"{log} has no line yet; the first comes after 50 iterations")
    return dict(terms), weights


def heatmaps(matrix: Float[Tensor, "R K F T"], *, name: str, caption: str, figure: int | None = None) -> Picture:
    """Fig. 11: spectrograms with values in [0, 1] in rows (content) and columns (motion).

    In each, time goes to the right and frequency up. The first row and column are the clips' own reconstructions, as
    in `pictures.swap_table`; the corner is left dark.
    """
    rows, columns, bins, steps = matrix.shape
    page = matrix.flip(2).permute(0, 2, 1, 3).reshape(rows * bins, columns * steps).cpu().numpy()
    drawing = Figure(figsize=(6, 6), dpi=DPI, layout="constrained")
    axes = drawing.add_subplot(xlabel="motion of clip", ylabel="content of clip")
    axes.imshow(page, cmap="magma", vmin=0, vmax=1, aspect="auto", extent=(-0.5, columns - 0.5, rows - 0.5, -0.5))
    axes.set_xticks(range(columns), ["itself", *map(str, range(1, columns))], fontsize=8)
    axes.set_yticks(range(rows), ["itself", *map(str, range(1, rows))], fontsize=8)
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    for boundary in range(max(rows, columns) - 1):
        thick = 3 if boundary == 0 else 1
        axes.axvline(boundary + 0.5, color="white", linewidth=thick)
        axes.axhline(boundary + 0.5, color="white", linewidth=thick)
    drawing.supxlabel("in each: time to the right, frequency up; dark is silent", fontsize=9)
    return _picture(drawing, name, caption, figure)


def _deviates(rates: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    return torch.special.ndtri(torch.as_tensor(np.asarray(rates), dtype=torch.float64)).numpy()


def _unit(term: str) -> str:
    return next((unit for part, unit in UNITS.items() if term.startswith(part) or term.endswith(part)), "")


def _picture(drawing: Figure, name: str, caption: str, figure: int | None) -> Picture:
    drawn = io.BytesIO()
    drawing.savefig(drawn, format="png", facecolor="white")
    with Image.open(drawn) as image:
        return Picture(name, caption, "image/png", small_png(image), figure)
