"""Sound of any rate and number of channels, brought to one channel and another rate by FFmpeg's libswresample."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import numpy as np
from av.audio.frame import AudioFrame
from av.error import BlockingIOError, EOFError  # noqa: A004 (FFmpeg's: nothing yet, and the end)
from av.filter.graph import Graph
from numpy.typing import NDArray

TAPS = 128
"""Samples of the slower rate that the windowed sinc spans: flat within 0.01 dB up to 90% of the band, images and
aliases from 110% on below -95 dB."""


class Resampler:
    """Mixes frames to the mean of their channels and resamples it, in memory for what comes out alone.

    Output k is the sound at the moment k / sample_rate after the first sample: nothing is shifted, and rounding does
    not add up. Before the first sample and after the last there is silence.
    """

    def __init__(self, first: AudioFrame, sample_rate: int) -> None:
        """Prepares for frames like the first, which is not pushed yet.

        Args:
            first: its rate, its channels and the type of its samples are those of all.
            sample_rate: samples per second that come out.
        """
        self._rates = Fraction(sample_rate, first.sample_rate)
        # Silence around the sound, of a whole number of samples at either rate: where the resampler has too little to
        # see, it mirrors, and of what is shorter than its filter it returns nothing.
        sees = TAPS * max(1.0, first.sample_rate / sample_rate)
        margin = self._rates.denominator * math.ceil(sees / self._rates.denominator)
        self._margin = int(margin * self._rates)
        channels = first.layout.nb_channels
        mean = "+".join(f"{1 / channels}*c{channel}" for channel in range(channels))
        self._blocks: list[NDArray[np.float32]] = []
        self._graph = Graph()
        self._graph.threads = 1
        self._graph.link_nodes(
            self._graph.add_abuffer(
                sample_rate=first.sample_rate,
                format=first.format,
                layout=first.layout,
                time_base=Fraction(1, first.sample_rate),
            ),
            self._graph.add("aformat", sample_fmts="fltp"),
            self._graph.add("pan", f"mono|c0={mean}"),
            self._graph.add("adelay", f"{margin}S"),
            self._graph.add("apad", pad_len=str(margin)),
            self._graph.add("aresample", sample_rate=str(sample_rate), filter_size=str(TAPS)),
            self._graph.add("abuffersink"),
        ).configure()

    def push(self, frame: AudioFrame) -> None:
        """Takes the next frame; its timestamp does not count."""
        frame.pts = None
        self._graph.push(frame)
        self._pull()

    def finish(self, count: int) -> NDArray[np.float32]:
        """The sound of the first `count` samples that were pushed: (round(count × sample_rate / rate),)."""
        self._graph.push(None)
        self._pull()
        length = round(count * self._rates)
        return np.concatenate(self._blocks)[self._margin : self._margin + length]

    def _pull(self) -> None:
        while True:
            try:
                frame = cast("AudioFrame", self._graph.pull())
            except (BlockingIOError, EOFError):
                return
            self._blocks.append(frame.to_ndarray()[0].astype(np.float32, copy=False))
