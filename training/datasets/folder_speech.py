"""A folder of recordings of one's own: any kind, rate and number of channels that the service decodes.

Shapes: B windows of T columns of K = 200 bins with values in [0, 1], N samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int, Int16
from torch import Tensor

from training.datasets.decoded import FULL_SCALE, PICTURES, Decoded, decode_sounds
from training.datasets.own_files import SOURCE, OwnFiles
from training.datasets.utterances import Recording, Utterances


@dataclass(frozen=True)
class Kept(Recording):
    """A recording whose samples are in memory, as parts of `FULL_SCALE` at the spectrum's rate."""

    samples: Int16[Tensor, " N"]

    def wave(self, sample_rate: int) -> Float[Tensor, " N"]:
        """Its samples in [−1, 1]; `sample_rate` is theirs."""
        del sample_rate
        return self.samples.float() / FULL_SCALE


class FolderSpeech(Utterances):
    """The sound of one split's files, each an utterance, as windows of their spectra.

    Files are decoded once (`training.datasets.decoded`), films for their sound; those that cannot be used, or are
    shorter than a window, are skipped and named (`training.datasets.own_files`). Spectra and samples lie in memory:
    72 kB for a second of sound.

    Args:
        folder: Holds the files and, where there is something to tell of them, `labels.csv`. Each file is a speaker of
            its own unless that has a column 'speaker'.
        split: "train", "validation" or "test", as the hash of each file's path says.
        device: Where spectra and windows live.
        frames: T, columns of a window: 20 are 200 ms.

    Attributes:
        files: The paths of the split's files in the folder, in the order of their numbers as utterances.
        skipped: Why each file that is of no split cannot be used.
        classes: The values of each other column of `labels.csv` in order; labels are numbers in it.

    Raises:
        DataError: the folder is missing, has too few files or only pictures, or `labels.csv` is wrong; the message
            says where.
    """

    source = SOURCE

    def __init__(
        self, folder: Path | None, split: str, device: torch.device | str = "cpu", *, frames: int = 20
    ) -> None:
        config = self.spectrum_config

        def shortage(clip: Decoded) -> str | None:
            seconds, least = len(clip.values) / config.sample_rate, frames / config.fps
            short = config.columns(len(clip.values)) < frames
            return f"The file has {seconds:.2g} s of sound, less than the {least:.2g} s of a window." if short else None

        own = OwnFiles(
            folder,
            split,
            decode=lambda folder, names: decode_sounds(folder, names, config.sample_rate),
            shortage=shortage,
            wanted=f"recordings of at least {frames / config.fps:.2g} s",
            elsewhere=(PICTURES, "holds pictures and no sound; it is trained on with --preset folder"),
        )
        self.files, self.skipped = own.files, own.skipped
        recordings = [
            Kept(Path(folder or "", name), own.rows.get(name, {}).get("speaker", name), own.clips[name].values)
            for name in own.files
        ]
        super().__init__(recordings, device, frames, name=f"your own {split}")
        self._labels = {c: own.labels[c].to(self.device) for c in own.labels if c not in ("speaker", "utterance")}
        self.classes = {column: own.classes[column] for column in self._labels}

    def labels(self, indices: Int[Tensor, " B"]) -> dict[str, Int[Tensor, " B"]]:
        """The numbers of each window's speaker and utterance, and what else `labels.csv` says, as in `classes`."""
        labels = super().labels(indices)
        return labels | {column: values[labels["utterance"]] for column, values in self._labels.items()}
