"""Pictures and sounds of speech models: DET curves, cross-generation (Fig. 11), and a swap of the two example voices.

Shapes: N columns of K bins, T columns of a window.
"""

from __future__ import annotations

import io
from pathlib import Path

import soundfile
import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from rwae_core.speech import SpectrumConfig, analyse
from training.datasets.catalogue import Name, open_dataset
from training.datasets.utterances import Utterances, read_wave
from training.evaluation import plots
from training.evaluation.findings import Picture
from training.evaluation.metrics import det
from training.evaluation.pictures import small_png
from training.evaluation.request import Request
from training.evaluation.speech.spoken import Speaking, Spoken, encode, spoken
from training.evaluation.speech.swaps import swap
from training.evaluation.speech.verification import trials

CROSSED = 16
CROSS_GENERATION = 11
EXAMPLES = Path(__file__).parents[3] / "examples"
"""Of a checkout: two synthetic voices, no dataset's."""


def draw(
    model: Speaking,
    dataset: Name,
    folder: Path | None,
    request: Request,
    device: torch.device,
    *,
    figure: int | None = None,
) -> list[Picture]:
    """DET curves of both codes, the matrix of Fig. 11, and voice_a's content with voice_b's motion to see and hear.

    Args:
        model: R-WAE, DS-VAE or FHVAE.
        dataset: "librispeech" or "timit".
        folder: Where that is.
        request: Names the model.
        device: Where everything is computed.
        figure: The one figure of the paper that is wanted; all pictures where absent.

    Raises:
        DataError: the dataset is missing or incomplete.
    """
    if figure not in (None, CROSS_GENERATION):
        return []
    data = open_dataset(dataset, folder, "test", device, frames=model.config.frames)
    if not isinstance(data, Utterances):
        raise TypeError(f"{dataset} has no utterances")
    found = [cross_generation(model, data, request)]
    if figure is None:
        found.append(_det(model, data, request))
        paths = [EXAMPLES / f"voice_{name}.wav" for name in "ab"]
        if all(path.is_file() for path in paths):
            content, motion = (
                Spoken(0, read_wave(path, data.spectrum_config.sample_rate).to(device), data.spectrum_config)
                for path in paths
            )
            found += example(model, content, motion, request)
    return found


def cross_generation(model: Speaking, data: Utterances, request: Request) -> Picture:
    """Fig. 11: z^c of each of 16 utterances with z^m of the loudest window of each.

    They are by as many speakers as there are.
    """
    chosen = _apart(data)
    kept, moved = [], []
    for index in chosen:
        windows = data.utterance(index)
        codes = encode(model, windows.flatten(0, 1))
        loudest = int(windows.mean((1, 2)).argmax()) * data.frames
        kept.append(codes.z_c)
        moved.append(codes.z_m[:, loudest : loudest + data.frames])
    with torch.no_grad():
        own = [model.decode(Latents(z_c, z_m)) for z_c, z_m in zip(kept, moved, strict=True)]
        table = [torch.cat([torch.zeros_like(own[0]), *own])]
        for z_c, itself in zip(kept, own, strict=True):
            table.append(torch.cat([itself, *(model.decode(Latents(z_c, z_m)) for z_m in moved)]))
    milliseconds = 1000 * data.frames / data.fps
    speakers = len(set(data.speaker_of[chosen].tolist()))
    caption = (
        f"Cross-generation by {request.model}: a row a content, a column a motion, {milliseconds:.0f} ms of each of "
        f"{len(chosen)} test utterances by {speakers} speakers; the first of each are reconstructions."
    )
    matrix = torch.stack(table).transpose(2, 3)
    return plots.heatmaps(matrix, name="cross-generation", caption=caption, figure=CROSS_GENERATION)


def example(model: Speaking, content: Spoken, motion: Spoken, request: Request) -> list[Picture]:
    """Two waves' swap: their three spectrograms below each other, and the sound."""
    wave = swap(model, encode(model, content.spectrum), encode(model, motion.spectrum), motion)
    rows = {
        "content: whose voice": content.spectrum,
        "motion: what is said": motion.spectrum,
        "swap: that voice says it": analyse(wave[None], motion.config)[0],
    }
    caption = f"Swap by {request.model}: the voice of voice_a.wav with the words of voice_b.wav, both synthetic"
    sound = io.BytesIO()
    soundfile.write(sound, wave.clamp(-1, 1).cpu().numpy(), motion.config.sample_rate, format="WAV", subtype="PCM_16")
    return [
        Picture(
            "swap-voices", f"{caption}; level over time and frequency.", "image/png", _spectrograms(rows, motion.config)
        ),
        Picture("swap-voices-sound", f"{caption}; to be heard.", "audio/wav", sound.getvalue()),
    ]


def _det(model: Speaking, data: Utterances, request: Request) -> Picture:
    codes = [encode(model, each.spectrum) for each in tqdm(spoken(data), desc="encode", unit="utterance", leave=False)]
    pairs = trials(codes, data.speaker_of.cpu())
    errors = pairs.errors()
    curves: dict[str, plots.Curve] = {
        f"z^c, EER {errors['static_eer']:.1f}%": det(pairs.static, pairs.same),
        f"z^m, EER {errors['dynamic_eer']:.1f}%": det(pairs.dynamic, pairs.same),
    }
    caption = f"Speaker verification from each code of {request.model}: {len(pairs.same)} pairs of test utterances."
    return plots.det(curves, name="det", caption=caption)


def _apart(data: Utterances) -> list[int]:
    """Utterances for Fig. 11: the first of each speaker, then the second, until there are 16."""
    turns: dict[int, int] = {}
    order: list[tuple[int, int]] = []
    for index, speaker in enumerate(data.speaker_of.tolist()):
        turns[speaker] = turns.get(speaker, -1) + 1
        order.append((turns[speaker], index))
    return [index for _, index in sorted(order)[:CROSSED]]


def _spectrograms(rows: dict[str, Float[Tensor, "N K"]], config: SpectrumConfig) -> bytes:
    """Spectrograms below each other on one time axis, up to half the sample rate, over the 70 dB that hold speech."""
    drawing = Figure(figsize=(7, 6.5), dpi=plots.DPI, layout="constrained")
    longest = max(len(spectrum) for spectrum in rows.values()) / config.fps
    images = []
    for place, (title, spectrum) in enumerate(rows.items()):
        axes = drawing.add_subplot(len(rows), 1, place + 1, ylabel="frequency, kHz", xlim=(0, longest))
        levels = (config.floor_db * (1 - spectrum)).T.cpu().numpy()
        extent = (0, len(spectrum) / config.fps, 0, config.sample_rate / 2000)
        image = axes.imshow(
            levels,
            origin="lower",
            aspect="auto",
            cmap="magma",
            extent=extent,
            vmax=levels.max(),
            vmin=levels.max() - 70,
        )
        images.append(image)
        axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel("time, s")
    drawing.colorbar(images[0], ax=drawing.axes, label="level, dB", shrink=0.5)
    drawn = io.BytesIO()
    drawing.savefig(drawn, format="png", facecolor="white")
    with Image.open(drawn) as picture:
        return small_png(picture)
