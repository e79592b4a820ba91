"""Sounds for the tests of the service, made and read by libsndfile and PyAV rather than by the code under test."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import soundfile

EXAMPLES = Path(__file__).parents[2] / "examples"
RATE = 16_000


def babble(seed: int, seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """(N, channels): a buzz of drifting pitch with a little noise, louder and softer by turns."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 120 + 80 * rng.random() + 20 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    buzz = sum(np.sin(k * phase) / k for k in range(1, 12)) * (0.12 + 0.1 * np.sin(2 * np.pi * 4 * time))
    return buzz[:, None] + rng.normal(0, 0.003, (len(time), channels))


def file_of(samples: np.ndarray, form: str = "WAV", subtype: str | None = None, rate: int = RATE) -> bytes:
    """A file of samples (N, channels)."""
    file = io.BytesIO()
    with soundfile.SoundFile(file, "w", rate, samples.shape[1], subtype, format=form) as sound:
        for start in range(0, len(samples), rate):
            sound.write(samples[start : start + rate])
    return file.getvalue()


def wav(seed: int, seconds: float = 0.5) -> bytes:
    return file_of(babble(seed, seconds))


def sound_in(muxer: str, codec: str, seed: int, seconds: float = 0.5, pictures: int = 0) -> bytes:
    """What browsers record: sound in a container of films, with or without pictures."""
    file = io.BytesIO()
    with av.open(file, "w", format=muxer) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        film = container.add_stream("libx264", rate=8) if pictures else None
        if film:
            film.width, film.height, film.pix_fmt = 64, 64, "yuv420p"
            for index in range(pictures):
                pixels = np.full((64, 64, 3), 20 * index, np.uint8)
                container.mux(film.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
            container.mux(film.encode(None))
        frame = av.AudioFrame.from_ndarray(babble(seed, seconds, 48_000).T.astype(np.float32), "fltp", "mono")
        frame.sample_rate, frame.pts = 48_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def samples_of(data: bytes) -> np.ndarray:
    """(N,) of a file in one channel at the model's rate."""
    samples, rate = soundfile.read(io.BytesIO(data), always_2d=True)
    assert (rate, samples.shape[1]) == (RATE, 1)
    return samples[:, 0]
