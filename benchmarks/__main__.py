"""Times the parts of a request on this machine; writes `results/<device>.json`.

`python -m benchmarks.serving` measures whole requests under load, `python -m benchmarks.data` the datasets.

Medians over repeats after a warm-up. Machines are noisy: compare figures of one run with each other.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.machine import machine, write
from rwae_core.media.encode import VideoFormat, encode_video
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.weights import load_weights

WEIGHTS = Path(__file__).parent.parent / "weights" / "sprites"
REPEATS = 20
FORMS: tuple[VideoFormat, ...] = ("mp4", "gif", "apng")


def median_ms(work: Callable[[], object], device: torch.device) -> float:
    """Milliseconds that a call takes, the device's work included."""
    times = []
    for repeat in range(REPEATS + 3):
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        if repeat >= 3:
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


@torch.inference_mode()
def main() -> int:
    """Measures, prints and writes."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model, config = load_weights(WEIGHTS, device)
    generator = torch.Generator().manual_seed(0)
    clip = model.generate(1, config.model.frames, generator)
    frames = clip[0].permute(0, 2, 3, 1).mul(255).round().byte().cpu().numpy()
    uploads = {form: encode_video(frames, 8, form) for form in FORMS}
    many = clip.expand(32, -1, -1, -1, -1)

    with MediaPool(1, MediaLimits()) as pool:
        decode = partial(pool.decode_video, size=64, channels=3, fit="crop")
        works: dict[str, Callable[[], object]] = {
            "model: encode a clip of 8 frames": lambda: model.encode(clip),
            "model: swap two clips of 8 frames": lambda: model.swap(clip, clip),
            "model: swap 32 pairs of clips at once": lambda: model.swap(many, many),
            "model: generate 8 frames": lambda: model.generate(1, 8, generator),
            "model: generate 100 frames": lambda: model.generate(1, 100, generator),
            **{f"media: decode {form}": partial(decode, data) for form, data in uploads.items()},
            **{f"media: encode {form}": partial(encode_video, frames, 8, form) for form in uploads},
        }
        figures = {name: round(median_ms(work, device), 2) for name, work in tqdm(works.items(), file=sys.stderr)}

    described = machine(device)
    print(f"{described['device']}, {described['threads']} threads, torch {described['torch']}; medians of {REPEATS}\n")
    print("| what | ms |\n|---|---|")
    for name, value in figures.items():
        print(f"| {name} | {value:.2f} |")
    write(device.type, {"machine": described, "median_ms": figures})
    return 0


if __name__ == "__main__":
    sys.exit(main())
