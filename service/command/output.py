"""Where results go: a file, a folder, standard output."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import typer

from rwae_client.calls import Format
from service.command.inputs import STANDARD

SUFFIXES: dict[str, Format] = {f".{name}": name for name in get_args(Format)}


@dataclass(frozen=True)
class Output:
    """What `-o` says.

    Attributes:
        path: A file, a folder (it exists, or ends with a slash), or `-` for standard output.
        asked: The format that was asked for by name.
    """

    path: str
    asked: Format | None = None

    @property
    def is_folder(self) -> bool:
        """Whether each result becomes a file of its own in a folder."""
        return self.path != STANDARD and (self.path.endswith(("/", "\\")) or Path(self.path).is_dir())

    def format(self) -> Format | None:
        """The format of media: what was asked for, else what the file's ending says, else the service's choice.

        Raises:
            typer.BadParameter: the ending says nothing.
        """
        if self.asked or self.path == STANDARD or self.is_folder:
            return self.asked
        suffix = Path(self.path).suffix.lower()
        if suffix not in SUFFIXES:
            raise typer.BadParameter(
                f"'{self.path}' does not say a format: end it with {', '.join(SUFFIXES)}, or add --format.",
                param_hint="-o",
            )
        return SUFFIXES[suffix]

    def check(self, results: int, *, binary: bool) -> None:
        """Before anything is asked: is there room for so many results?

        Raises:
            typer.BadParameter: several results and no folder, or media for a terminal.
        """
        if results > 1 and not self.is_folder and (binary or self.path != STANDARD):
            raise typer.BadParameter(
                f"These are {results} results: give a folder, with a slash at its end.", param_hint="-o"
            )
        if binary and self.path == STANDARD and sys.stdout.isatty():
            raise typer.BadParameter("Media does not go to a terminal: give -o FILE, or a pipe.", param_hint="-o")

    def write(self, data: bytes, name: str, suffix: str) -> None:
        """Writes a result; in a folder it gets this name and ending.

        Raises:
            OSError: it cannot be written.
        """
        if self.path == STANDARD:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif self.is_folder:
            folder = Path(self.path)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{name}.{suffix}").write_bytes(data)
        else:
            Path(self.path).write_bytes(data)

    def beside(self, mark: str) -> Output:
        """Another file of this ending: `out.mp4` → `out-mark.mp4`; a folder stays what it is."""
        path = Path(self.path)
        return self if self.is_folder else Output(str(path.with_name(f"{path.stem}-{mark}{path.suffix}")), self.asked)


def suffix_of(media_type: str) -> str:
    """The ending of a file of this type."""
    kind = media_type.split(";", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1]
    return {"x-wav": "wav", "vnd.wave": "wav"}.get(kind, kind)
