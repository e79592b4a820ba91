"""How a command ends when it cannot do what it was asked."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from rwae_client import ProblemError, ServiceError

FAILED, MISUSED, LATER, INTERRUPTED = 1, 2, 3, 130
"""Exit codes: bad input; wrong usage; nobody there, or too busy, so that later may be better; Ctrl-C."""
BUSY = frozenset({429, 502, 503, 504})


class CommandError(Exception):
    """The message says what to change; it ends the command with `code`."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


def sentence(error: Exception) -> str:
    """What people are told of an error."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror or error}."
    return str(error)


def code_of(error: Exception) -> int:
    """The exit code of an error."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, ProblemError):
        return LATER if error.status in BUSY else FAILED
    return LATER if isinstance(error, ServiceError) else FAILED


@contextmanager
def told() -> Iterator[None]:
    """Ends the command with a sentence and an exit code where something fails."""
    try:
        yield
    except BrokenPipeError:
        raise
    except (CommandError, ServiceError, OSError) as error:
        print(f"error: {sentence(error)}", file=sys.stderr)
        raise typer.Exit(code_of(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
