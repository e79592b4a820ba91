"""What commands read: clips, codes, patterns of names, standard input."""

from __future__ import annotations

import glob
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from rwae_client import AsyncClient, Codes, Encoding
from rwae_client.calls import Fit
from rwae_client.results import read
from service.command.failure import CommandError

STANDARD = "-"


@dataclass(frozen=True)
class Input:
    """A file that was named, and what is in it.

    Attributes:
        name: What results are called after: the file's name without its ending.
        path: As it was given.
        data: The bytes.
    """

    name: str
    path: str
    data: bytes

    @property
    def is_codes(self) -> bool:
        """Whether these are codes, as `rwae encode` writes them. No clip begins like JSON."""
        return self.data[:100].lstrip().startswith(b"{")

    def codes(self) -> Encoding:
        """The codes.

        Raises:
            CommandError: these are none.
        """
        try:
            return read(Encoding, json.loads(self.data))
        except (ValueError, TypeError, AttributeError) as error:
            raise CommandError(f"{self.path}: These are not codes: give what 'rwae encode' writes.") from error


def inputs(paths: list[str]) -> list[Input]:
    """The files of all paths; of patterns such as `clips/*.mp4`, where the shell has not done so, those that fit.

    Raises:
        CommandError: a pattern fits nothing, or standard input is to be read twice.
        OSError: a file cannot be read.
    """
    found: list[str] = []
    for path in paths:
        if path == STANDARD or Path(path).exists() or not glob.has_magic(path):
            found.append(path)
        elif fitting := sorted(glob.glob(path, recursive=True)):
            found += fitting
        else:
            raise CommandError(f"{path}: No file fits this pattern.")
    if found.count(STANDARD) > 1:
        raise CommandError("Standard input ('-') can be read once only.")
    return [
        Input("stdin", path, sys.stdin.buffer.read())
        if path == STANDARD
        else Input(Path(path).stem, path, Path(path).read_bytes())
        for path in found
    ]


async def codes_of(client: AsyncClient, given: Input, *, model: str | None, fit: Fit | None = None) -> Encoding:
    """Codes that were given, or those of a clip."""
    return given.codes() if given.is_codes else await client.encode(given.data, model=model, fit=fit)


def like(encoding: Encoding, codes: Codes) -> Encoding:
    """Other codes of the same model and rate."""
    return Encoding(
        codes.z_c,
        codes.z_m,
        codes.action,
        model=encoding.model,
        modality=encoding.modality,
        frames=len(codes.z_m),
        fps=encoding.fps,
        hop_s=encoding.hop_s,
    )
