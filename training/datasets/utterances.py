"""Recorded utterances as windows of a log-magnitude spectrum: what all datasets of speech have in common.

Shapes: B windows of T columns of K bins with values in [0, 1], N samples of a wave in [−1, 1].
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from rwae_core.speech import SpectrumConfig, analyse
from training.datasets.errors import DataError

HELD_OUT_EVERY = 12
"""Every 12th training speaker is for validation: 21 of LibriSpeech's 251, 39 of TIMIT's 462."""


@dataclass(frozen=True)
class Recording:
    """One utterance's file, and who speaks."""

    path: Path
    speaker: str

    def wave(self, sample_rate: int) -> Float[Tensor, " N"]:
        """Its samples, as `read_wave` reads them."""
        return read_wave(self.path, sample_rate)


class Utterances:
    """All windows of `frames` columns of some recordings, wherever they start.

    The spectra of all utterances lie on the device in float16 (40 kB a second of sound), whose steps are 0.05 dB at
    most. Window i is a slice of one of them, and windows of an utterance follow each other a column apart, so random
    indices are random windows: `first_window[u] … first_window[u + 1] − 1` are those of utterance u.

    Args:
        recordings: In the order of their numbers.
        device: Where spectra and windows live.
        frames: T, columns of a window.
        name: What progress is shown as.

    Attributes:
        spectrum_config: What a column is; to be stored with the weights.
        recordings: Each utterance's.
        paths: The file of each utterance.
        speakers: The name of each speaker, in the order of their first utterances.
        speaker_of: The number of each utterance's speaker.
        first_window: The first window of each utterance, and then the number of all windows.

    Raises:
        DataError: a recording is shorter than a window, or what reading it raises.
    """

    spectrum_config = SpectrumConfig()
    fps = spectrum_config.fps
    frame_shape: tuple[int, ...] = (spectrum_config.bins,)

    def __init__(self, recordings: Sequence[Recording], device: torch.device | str, frames: int, name: str) -> None:
        self.frames = frames
        self.device = torch.device(device)
        self.recordings = tuple(recordings)
        self.paths = tuple(recording.path for recording in recordings)
        numbers = {speaker: i for i, speaker in enumerate(dict.fromkeys(r.speaker for r in recordings))}
        self.speakers = tuple(numbers)
        self.speaker_of = torch.tensor([numbers[r.speaker] for r in recordings], device=self.device)
        spectra = [self._spectrum(each) for each in tqdm(self.recordings, desc=name, unit="utterance", leave=False)]
        lengths = torch.tensor([0, *map(len, spectra)], device=self.device)
        self._columns = torch.cat(spectra)
        self._first_column = lengths.cumsum(0)
        self.first_window = self._first_column - (frames - 1) * torch.arange(len(lengths), device=self.device)
        self._windows = int(self.first_window[-1])

    def __len__(self) -> int:
        return self._windows

    @property
    def utterances(self) -> int:
        """The number of utterances."""
        return len(self.paths)

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The numbers of each window's speaker and utterance."""
        utterance = self._utterance_of(indices.to(self.device))
        return {"speaker": self.speaker_of[utterance], "utterance": utterance}

    def clips(self, indices: Int[Tensor, " B"]) -> Float[Tensor, "B T K"]:
        """The windows of these indices."""
        indices = indices.to(self.device)
        start = indices + (self.frames - 1) * self._utterance_of(indices)
        return self._columns[start[:, None] + torch.arange(self.frames, device=self.device)].float()

    def companions(self, indices: Int[Tensor, " B"], count: int, generator: torch.Generator) -> Int[Tensor, "B count"]:
        """Random windows of each window's utterance, drawn with replacement."""
        utterance = self._utterance_of(indices.to(self.device))
        first, end = self.first_window[utterance, None], self.first_window[utterance + 1, None]
        share = torch.rand(len(indices), count, generator=generator, device=self.device)
        return torch.minimum(first + (share * (end - first)).long(), end - 1)

    def utterance(self, index: int) -> Float[Tensor, "windows T K"]:
        """One whole utterance as windows side by side; the columns after the last whole one are left out."""
        first, end = self._first_column[index : index + 2].tolist()
        return self._columns[first : end - (end - first) % self.frames].unflatten(0, (-1, self.frames)).float()

    def wave(self, index: int) -> Float[Tensor, " N"]:
        """One whole utterance's samples."""
        return self.recordings[index].wave(self.spectrum_config.sample_rate).to(self.device)

    def _utterance_of(self, indices: Int[Tensor, " B"]) -> Int[Tensor, " B"]:
        return torch.searchsorted(self.first_window, indices, right=True) - 1

    def _spectrum(self, recording: Recording) -> Float[Tensor, "columns K"]:
        config = self.spectrum_config
        spectrum = analyse(recording.wave(config.sample_rate).to(self.device)[None], config)[0].half()
        if len(spectrum) < self.frames:
            raise DataError(
                f"{recording.path} has {len(spectrum)} columns of 10 ms, a window {self.frames}: take the file away, "
                "fetch it again if it should be longer, or train on shorter windows"
            )
        return spectrum


def read_wave(path: Path, sample_rate: int) -> Float[Tensor, " N"]:
    """The samples of a mono FLAC, WAV or NIST SPHERE file, in [−1, 1].

    Raises:
        DataError: the file is damaged, or has another rate or more channels.
    """
    try:
        with soundfile.SoundFile(path) as file:
            rate, channels = file.samplerate, file.channels
            samples: NDArray[np.float32] = file.read(dtype="float32")
    except (OSError, soundfile.SoundFileError) as error:
        raise DataError(f"{path} cannot be read as sound: {error}. Fetch it again.") from error
    if channels != 1 or rate != sample_rate:
        raise DataError(
            f"{path} has {channels} channel(s) at {rate} Hz; speech must be mono at {sample_rate} Hz. Convert it, for "
            f"example with `ffmpeg -i in -ac 1 -ar {sample_rate} out.flac`."
        )
    if len(samples) == 0 or path.stat().st_size < _announced_bytes(path):
        raise DataError(f"{path} is cut off after {len(samples)} samples. Fetch it again.")
    return torch.from_numpy(samples)


def _announced_bytes(path: Path) -> int:
    """How long a WAV or SPHERE file's header says that it is: of one cut off, libsndfile reads the rest in silence."""
    with path.open("rb") as file:
        header = file.read(1024)
    if header.startswith(b"RIFF"):
        size: int = struct.unpack_from("<I", header, 4)[0]
        return 0 if size == 0xFFFFFFFF else 8 + size  # that is what a pipe's writer says, who cannot know
    if header.startswith(b"NIST_1A"):
        fields = {name: int(value) for name, value in re.findall(rb"(sample_count|sample_n_bytes) -i (\d+)", header)}
        return len(header) + fields.get(b"sample_count", 0) * fields.get(b"sample_n_bytes", 0)
    return 0


def of_split(speakers: Sequence[str], split: str) -> list[str]:
    """The training speakers of "train" or of "validation", every 12th; all of them in "test"."""
    if split == "test":
        return list(speakers)
    return [name for i, name in enumerate(speakers) if (i % HELD_OUT_EVERY == 0) == (split == "validation")]
