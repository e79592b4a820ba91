"""Draws the pictures of docs/model.md and docs/figures.md: `python docs/pictures.py`, from the root of the repository.

Clips are those of examples/, codes and pixels those of weights/sprites, figures those of benchmarks/results and of the
model cards. It needs the extra `train` (matplotlib) and takes a few seconds.

Shapes: T frames of C×H×W with values in [0, 1], Dc content and Dm motion dimensions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import numpy as np
import soundfile
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rwae_core.config import SpectrumFrames
from rwae_core.latents import Latents
from rwae_core.media.decode import decode_video
from rwae_core.media.limits import MediaLimits
from rwae_core.model import RWAE
from rwae_core.recording import decode_recording, encode_recording
from rwae_core.speech import analyse, as_loud_as, synthesise
from rwae_core.weights import load_weights

ROOT = Path(__file__).parent.parent
OUT = ROOT / "docs" / "pictures"
CONTENT, MOTION, DATA, INK = "#c2571a", "#1f6f8b", "#6b6b6b", "#222222"
EXAMPLES = {"walk": "examples/walk.mp4", "spellcard": "examples/spellcard.mp4"}
GAP = 4


@torch.no_grad()
def main(out: Path = OUT) -> None:
    """Draws all of them into a folder."""
    plt.rcParams.update({"font.size": 10, "svg.hashsalt": "rwae", "axes.edgecolor": DATA})
    out.mkdir(exist_ok=True)
    model = load_weights(ROOT / "weights" / "sprites")[0]
    clips = {name: clip(ROOT / path) for name, path in EXAMPLES.items()}
    graph(out)
    codes(model, clips, out)
    swaps(model, clips, out)
    between(model, clips, out)
    prior(model, out)
    voices(load_weights(ROOT / "weights" / "librispeech")[0], out)
    throughput(out)


def graph(out: Path) -> None:
    """The inference model and the generative model, eqs. 5 and 4."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    for axes, title in ((left, "inference: a clip is taken apart"), (right, "generation: a clip is put together")):
        axes.set(xlim=(0, 10), ylim=(0, 6), title=title)
        axes.axis("off")
    columns, top, middle, bottom = (2.0, 5.0, 8.0), 4.4, 2.6, 0.6
    for axes in (left, right):
        node(axes, columns[1], bottom, "$z^c$", CONTENT)
    for place, (x, step) in enumerate(zip(columns, ("t-1", "t", "t+1"), strict=True)):
        for axes in (left, right):
            node(axes, x, top, f"$z^m_{{{step}}}$", MOTION)
            node(axes, x, middle, f"$x_{{{step}}}$", DATA)
            if place:
                arrow(axes, (columns[place - 1] + 0.6, top), (x - 0.6, top), MOTION)
        side = 0.25 * (place - 1)
        arrow(left, (x, middle + 0.5), (x, top - 0.5), MOTION)
        arrow(left, (x, middle - 0.5), (columns[1] + side, bottom + 0.5), CONTENT)
        arrow(right, (x, top - 0.5), (x, middle + 0.5), MOTION)
        arrow(right, (columns[1] + side, bottom + 0.5), (x, middle - 0.5), CONTENT)
    left.text(5.0, 5.3, "$q(z^m_t\\,|\\,z^m_{<t},\\,x_t)$", color=MOTION, ha="center")
    left.text(5.8, bottom, "$q(z^c\\,|\\,x_{1:T})$: all frames, in no order", color=CONTENT, va="center")
    right.text(5.0, 5.3, "$p(z^m_t\\,|\\,z^m_{<t})$: the recurrent prior", color=MOTION, ha="center")
    right.text(5.8, bottom, "$p(z^c) = N(0, I)$: drawn once a clip", color=CONTENT, va="center")
    save(figure, out / "graph.svg")


def codes(model: RWAE, clips: dict[str, Tensor], out: Path) -> None:
    """z^c as a strip and z^m as curves, below the frames that they come from."""
    figure, rows = plt.subplots(
        3, len(clips), figsize=(11, 4.2), height_ratios=(0.62, 0.3, 1.5), layout="constrained", squeeze=False
    )
    for (frames, strip, curves), (name, x) in zip(rows.T, clips.items(), strict=True):
        latents = model.encode(x[None])
        frames.imshow(side_by_side(x))
        frames.set_title(f"{name}.mp4: x, {len(x)} frames")
        strip.imshow(latents.z_c.numpy(), cmap="RdBu_r", vmin=-2.5, vmax=2.5, aspect="auto")
        strip.set_title(f"$z^c$: {latents.z_c.shape[1]} numbers for the whole clip", color=CONTENT)
        curves.plot(np.arange(1, len(x) + 1), latents.z_m[0].numpy(), color=MOTION, linewidth=1, alpha=0.8)
        curves.set_title(f"$z^m_t$: {latents.z_m.shape[2]} numbers a frame", color=MOTION)
        curves.set(xlabel="frame t", xlim=(1, len(x)), ylim=(-3.2, 3.2))
        for axes in (frames, strip):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
    save(figure, out / "codes.png")


def swaps(model: RWAE, clips: dict[str, Tensor], out: Path) -> None:
    """Rows keep z^c, columns keep z^m; the third of each is new, drawn from its prior."""
    encoded = [model.encode(x[None]) for x in clips.values()]
    frames = encoded[0].z_m.shape[1]
    drawn = model.sample(1, frames, [torch.Generator().manual_seed(11)])
    names = [*(f"{name}.mp4" for name in clips), "from the prior"]
    figure, axes = plt.subplots(3, 3, figsize=(11, 2.5), layout="constrained")
    for row, kept in enumerate([*encoded, drawn]):
        for column, moved in enumerate([*encoded, drawn]):
            cell = axes[row, column]
            made = model.decode(Latents(kept.z_c, moved.z_m, moved.action))[0]
            cell.imshow(side_by_side(made, 5))
            cell.set(xticks=[], yticks=[])
            cell.spines[:].set_visible(False)
            if row == 0:
                cell.set_title(f"$z^m$ {names[column]}", color=MOTION)
            if column == 0:
                cell.set_ylabel(
                    f"$z^c$\n{names[row].removesuffix('.mp4').removeprefix('from the ')}", color=CONTENT, fontsize=9
                )
    save(figure, out / "swaps.png")


def between(model: RWAE, clips: dict[str, Tensor], out: Path) -> None:
    """From one clip's code to the other's, the other code kept."""
    (a, b), shares = (model.encode(x[None]) for x in clips.values()), torch.linspace(0, 1, 8)[:, None]
    middle = a.z_m.shape[1] // 2
    content = model.decode(Latents(torch.lerp(a.z_c, b.z_c, shares), a.z_m.expand(8, -1, -1)))[:, middle]
    motion = model.decode(Latents(a.z_c.expand(8, -1), torch.lerp(a.z_m, b.z_m, shares[:, None])))[:, middle]
    figure, rows = plt.subplots(2, 1, figsize=(11, 3.1), layout="constrained")
    for axes, made, title, colour in (
        (rows[0], content, "$z^c$ from walk.mp4's to spellcard.mp4's, $z^m$ of walk.mp4", CONTENT),
        (rows[1], motion, "$z^m$ from walk.mp4's to spellcard.mp4's, $z^c$ of walk.mp4", MOTION),
    ):
        axes.imshow(side_by_side(made))
        axes.set_title(title, color=colour)
        axes.axis("off")
    save(figure, out / "between.png")


def prior(model: RWAE, out: Path) -> None:
    """Motion out of the recurrent prior: one seed at three temperatures."""
    figure, rows = plt.subplots(1, 3, figsize=(11, 2.6), sharey=True, layout="constrained")
    for axes, temperature in zip(rows, (0.3, 1.0, 1.5), strict=True):
        drawn = model.sample(1, 60, [torch.Generator().manual_seed(3)], temperature=temperature)
        axes.plot(np.arange(1, 61), drawn.z_m[0, :, :6].numpy(), linewidth=1)
        axes.set(title=f"temperature {temperature}", xlabel="frame t", xlim=(1, 60))
    rows[0].set_ylabel("six of $z^m_t$")
    save(figure, out / "prior.png")


def voices(model: RWAE, out: Path) -> None:
    """Spectrograms of two synthetic voices, and of the wave that the first makes of what the second says."""
    networks = model.config.frame_networks
    assert isinstance(networks, SpectrumFrames)  # noqa: S101  these weights are of speech
    config = networks.spectrum
    waves = [torch.from_numpy(soundfile.read(ROOT / f"examples/voice_{name}.wav", dtype="float32")[0]) for name in "ab"]
    spectra = [analyse(wave[None], config)[0] for wave in waves]
    kept, moved = (encode_recording(model, spectrum) for spectrum in spectra)
    drawn = decode_recording(model, Latents(kept.z_c, moved.z_m)).clamp(0, 1)
    swapped = synthesise(drawn[None], len(waves[1]), config, phase_of=waves[1][None])
    shown = {
        "content: whose voice": spectra[0],
        "motion: what is said": spectra[1],
        "swap: that voice says it": analyse(as_loud_as(swapped, waves[1][None]), config)[0],
    }
    figure, rows = plt.subplots(3, 1, figsize=(7, 6.4), sharex=True, layout="constrained")
    for axes, (title, spectrum) in zip(rows, shown.items(), strict=True):
        extent = (0, len(spectrum) / config.fps, 0, config.sample_rate / 2000)
        levels = axes.imshow(
            config.floor_db * (1 - spectrum.T.numpy()),
            origin="lower", aspect="auto", extent=extent, cmap="magma", vmin=-90, vmax=-25,
        )  # fmt: skip
        axes.set(ylabel="kHz", xlim=(0, max(map(len, spectra)) / config.fps))
        axes.set_title(title, loc="left", fontsize=10)
    rows[-1].set_xlabel("seconds")
    figure.colorbar(levels, ax=rows, label="level, dB", shrink=0.5)
    save(figure, out / "voices.png")


def throughput(out: Path) -> None:
    """Requests a second of one core, as benchmarks/results has them."""
    figures = json.loads((ROOT / "benchmarks/results/serving-throughput.json").read_text())["figures"]
    hosts = ("bare", "ours", "LitServe", "plain FastAPI")
    figure, axes = plt.subplots(figsize=(7.5, 2.8), layout="constrained")
    for place, call in enumerate(("encode", "generate")):
        rates = figures[call]["requests_per_s"]
        for index, host in enumerate(hosts):
            colour = {"ours": CONTENT, "bare": INK}.get(host, DATA)
            y = place * 5 + index
            axes.barh(y, np.median(rates[host]), color=colour, alpha=0.85)
            axes.plot(rates[host], [y] * len(rates[host]), "|", color="white", markersize=9)
            axes.text(1, y, f"/{call}, {host}", color="white", va="center", fontsize=8)
    axes.invert_yaxis()
    axes.set(yticks=[], xlabel="requests a second, one core, 64 clients; bars are medians of three rounds")
    save(figure, out / "throughput.svg")


def clip(path: Path) -> Tensor:
    """(T, C, H, W) of a file."""
    frames = decode_video(path.read_bytes(), size=64, channels=3, fit="crop", limits=MediaLimits()).frames
    return torch.from_numpy(frames).movedim(-1, 1).float() / 255


def side_by_side(frames: Tensor, most: int = 8) -> NDArray[np.uint8]:
    """(H, ·, 3) of at most so many frames, evenly spaced."""
    chosen = frames[torch.linspace(0, len(frames) - 1, min(most, len(frames))).round().long()]
    pixels = chosen.clamp(0, 1).mul(255).round().byte().movedim(1, -1).numpy()
    return np.concatenate([np.pad(frame, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for frame in pixels], axis=1)


def node(axes: Axes, x: float, y: float, text: str, colour: str) -> None:
    """A quantity."""
    box = FancyBboxPatch((x - 0.5, y - 0.38), 1.0, 0.76, boxstyle="round,pad=0.08", fc="white", ec=colour, lw=1.6)
    axes.add_patch(box)
    axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=12)


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, *, bend: float = 0.0
) -> None:
    """What depends on what."""
    style = {"arrowstyle": "-|>", "color": colour, "connectionstyle": f"arc3,rad={bend}", "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)


def save(figure: Figure, path: Path) -> None:
    """Writes a picture without the time at which it was drawn, PNGs in a palette."""
    if path.suffix == ".svg":
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
        path.write_text("\n".join(_lines(path.read_text().splitlines())) + "\n")
    else:
        figure.savefig(path, dpi=130, bbox_inches="tight")
        with Image.open(path) as image:
            image.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
    plt.close(figure)


def _lines(lines: Iterable[str]) -> Iterable[str]:
    """Without blanks at their ends."""
    return (line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
