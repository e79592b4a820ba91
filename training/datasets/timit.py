"""TIMIT (Garofolo et al. 1993): phonetically rich sentences, 16 kHz, as `{TRAIN,TEST}/DR<1-8>/<speaker>/*.WAV`.

Shapes: B windows of T columns of K = 200 bins with values in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from training.datasets.errors import DataError
from training.datasets.source import Files, Source
from training.datasets.utterances import Recording, Utterances, of_split

CORE_TEST = (
    *("MDAB0", "MWBT0", "FELC0", "MTAS1", "MWEW0", "FPAS0", "MJMP0", "MLNT0", "FPKT0", "MLLL0", "MTLS0", "FJLM0"),
    *("MBPM0", "MKLT0", "FNLP0", "MCMJ0", "MJDH0", "FMGD0", "MGRT0", "MNJM0", "FDHC0", "MJLN0", "MPAM0", "FMLD0"),
)
"""The core test set of TIMIT's documentation: two men and one woman of each dialect region, from 1 to 8."""
SENTENCES = 8
"""Each speaker's own: five SX and three SI. The two SA, which everyone reads, are left out."""

SOURCE = Source(
    title="TIMIT",
    needs="<data>/{TRAIN,TEST}/DR<1-8>/<speaker>/<sentence>.WAV, in capitals or not, as SPHERE or as RIFF files",
    origin="the Linguistic Data Consortium (LDC93S1, catalog.ldc.upenn.edu)",
    licence="bought from the Linguistic Data Consortium",
    folder="timit",
    files=(Files("*/[Dd][Rr][1-8]/*", 630),),
)


class TIMIT(Utterances):
    """The SX and SI sentences of one split, as windows of their spectra.

    Args:
        folder: Holds TRAIN and TEST.
        split: "train" (the speakers of TRAIN but every 12th by name), "validation" (those, 39 of 462) or "test" (the
            24 speakers of the core test set, 192 utterances), for final figures alone.
        device: Where spectra and windows live.
        frames: T, columns of a window: 20 are 200 ms.

    Raises:
        DataError: a folder, a speaker or a sentence is missing, or a file is damaged or not 16 kHz mono.
    """

    source = SOURCE

    def __init__(
        self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 20
    ) -> None:
        part = {"train": "TRAIN", "validation": "TRAIN", "test": "TEST"}[split]
        if folder is None:
            raise DataError(SOURCE.help)
        root = next((path for path in _folders(Path(folder)) if path.name.upper() == part), None)
        if root is None:
            raise DataError(f"{Path(folder) / part} is missing. {SOURCE.help}")
        speakers = {
            path.name.upper(): path
            for region in _folders(root)
            if region.name.upper().startswith("DR")
            for path in _folders(region)
        }
        chosen = CORE_TEST if split == "test" else sorted(speakers)
        missing = [name for name in chosen if name not in speakers]
        if missing:
            raise DataError(f"{root} lacks the speakers {', '.join(missing)} of the core test set. {SOURCE.help}")
        recordings = [Recording(path, name) for name in of_split(chosen, split) for path in _sentences(speakers[name])]
        if not recordings:
            raise DataError(f"{root} holds no speakers for {split}. {SOURCE.help}")
        super().__init__(recordings, device, frames, name=f"TIMIT {split}")


def _sentences(speaker: Path) -> list[Path]:
    """The files of a speaker's SX and SI sentences by name. Some copies hold each twice, as X.WAV and X.WAV.wav."""
    found: dict[str, Path] = {}
    for path in sorted(speaker.iterdir()):
        name = path.name.split(".")[0].upper()
        if path.suffix.upper() == ".WAV" and name.startswith(("SX", "SI")):
            found.setdefault(name, path)
    if len(found) != SENTENCES:
        raise DataError(
            f"{speaker} holds {len(found)} of the {SENTENCES} SX and SI sentences of a speaker. Copy the folder again. "
            f"{SOURCE.help}"
        )
    return [found[name] for name in sorted(found)]


def _folders(folder: Path) -> Iterator[Path]:
    """The folders in this one, by name."""
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_dir())
