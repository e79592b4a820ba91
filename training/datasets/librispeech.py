"""LibriSpeech (Panayotov et al. 2015): read audio books, 16 kHz, as `<set>/<speaker>/<chapter>/*.flac`.

Shapes: B windows of T columns of K = 200 bins with values in [0, 1].
"""

from __future__ import annotations

from pathlib import Path

import torch

from training.datasets.errors import DataError
from training.datasets.source import Files, Source
from training.datasets.utterances import Recording, Utterances, of_split

SETS = {"train": "train-clean-100", "validation": "train-clean-100", "test": "test-other"}

SOURCE = Source(
    title="LibriSpeech",
    needs="<data>/LibriSpeech/{train-clean-100,test-other}/<speaker>/<chapter>/*.flac",
    origin="openslr.org/12 (351 of the files are in audio_data of github.com/resemble-ai/Resemblyzer; their names, "
    "<speaker>-<chapter>-<utterance>.flac, say where each belongs)",
    licence="CC BY 4.0",
    folder="librispeech_mini",
    files=(  # those 351
        Files(
            "LibriSpeech/train-clean-100/*/*/*.flac",
            251,
            "962a1be5636d145302e34b50d0c459cb126ad2a3c97d807096b3538b00b6b5ee",
        ),
        Files(
            "LibriSpeech/test-other/*/*/*.flac",
            100,
            "4910bb0320636e9356d18cde5af60de1b7dabf1e33a876be527fdd3f8a3a7088",
        ),
    ),
)


class LibriSpeech(Utterances):
    """All utterances of one split, as windows of their spectra.

    Spectra of a split lie in memory, 40 kB for a second of sound: 125 MB for the 52 minutes with one utterance of each
    of the 251 training speakers, 14 GB for all of train-clean-100.

    Args:
        folder: Holds the sets, or LibriSpeech/ with them.
        split: "train" (the speakers of train-clean-100 but every 12th by number), "validation" (those, 21 of 251) or
            "test" (test-other), for final figures alone.
        device: Where spectra and windows live.
        frames: T, columns of a window: 20 are 200 ms.

    Raises:
        DataError: a folder is missing or empty, or a file is damaged, not 16 kHz mono, or shorter than a window.
    """

    source = SOURCE

    def __init__(
        self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 20
    ) -> None:
        name = SETS[split]
        if folder is None:
            raise DataError(SOURCE.help)
        folder = Path(folder)
        root = next((root for root in (folder / name, folder / "LibriSpeech" / name) if root.is_dir()), None)
        if root is None:
            raise DataError(f"{folder / name} is missing. {SOURCE.help}")
        numbers = sorted(int(path.name) for path in root.iterdir() if path.is_dir() and path.name.isdigit())
        recordings = []
        for speaker in of_split([str(number) for number in numbers], split):
            paths = sorted((root / speaker).glob("*/*.flac"))
            if not paths:
                raise DataError(f"{root / speaker} holds no <chapter>/*.flac. {SOURCE.help}")
            recordings += [Recording(path, speaker) for path in paths]
        if not recordings:
            raise DataError(f"{root} holds no speakers for {split}. {SOURCE.help}")
        super().__init__(recordings, device, frames, name=f"LibriSpeech {split}")
