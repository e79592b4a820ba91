"""Media: how long it takes to read and to write a clip in each format."""

from __future__ import annotations

from functools import partial

import torch

from benchmarks.clock import median_s
from benchmarks.machine import CPU
from benchmarks.section import Section
from benchmarks.serving.works import FPS, FRAMES, MODEL, WEIGHTS, read
from rwae_core.media.encode import VideoFormat, encode_video
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.weights import load_weights

FORMS: tuple[VideoFormat, ...] = ("mp4", "webm", "gif", "webp", "apng")


def measure() -> Section:
    """Reading and writing a generated clip in every format, read as the service does, in another process."""
    with torch.inference_mode():
        clip = load_weights(WEIGHTS / MODEL)[0].generate(1, FRAMES, torch.Generator().manual_seed(0))[0]
    frames = clip.movedim(1, -1).mul(255).round().byte().numpy()
    rows: dict[str, dict[str, float]] = {}
    with MediaPool(1, MediaLimits()) as pool:
        for form in FORMS:
            write = partial(encode_video, frames, FPS, form)
            rows[form] = {
                "read, ms": 1000 * median_s(partial(read, pool, write()), CPU),
                "written, ms": 1000 * median_s(write, CPU),
            }
    return Section(rows, compared="written, ms")
