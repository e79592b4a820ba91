"""The command line `rwae`: a thin client of the service, which it asks over HTTP or runs within its own process."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs `rwae`."""
    try:
        from service.command.verbs import app  # noqa: PLC0415  what is missing is told in a sentence
    except ModuleNotFoundError as error:
        sys.exit(f"error: rwae needs '{error.name}', which is not installed: pip install 'rwae[serve]'")
    app(prog_name="rwae")
