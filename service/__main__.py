"""Serves the models: `python -m service`."""

from __future__ import annotations

import argparse
import sys

from service.settings import Settings
from service.start import StartError, start

EXAMPLES = """\
examples:
  python -m service
  RWAE_PORT=9000 RWAE_HOST=0.0.0.0 python -m service
  RWAE_DEVICE=cuda:0,cuda:1 RWAE_API_KEYS=secret python -m service
  curl -s localhost:8000/models
"""


def main() -> None:
    """Reads the settings and serves until a signal comes."""
    argparse.ArgumentParser(
        prog="python -m service",
        description="Serves the models of a weights folder over HTTP. Settings come from the environment.",
        epilog=f"{_settings()}\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    try:
        start()
    except StartError as error:
        sys.exit(str(error))


def _settings() -> str:
    lines = ["settings:"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default in (None, ()) else _plain(field.default)
        lines.append(f"  RWAE_{name.upper():<22}{default:<12} {field.description}")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else f"{value}"


if __name__ == "__main__":
    main()
