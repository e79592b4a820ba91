"""Serves the models: `python -m service`."""

from __future__ import annotations

import argparse
import logging
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from typing_extensions import override

from service.app import create_app
from service.settings import DeviceError, Settings

EXAMPLES = """\
examples:
  python -m service
  RWAE_PORT=9000 RWAE_HOST=0.0.0.0 python -m service
  RWAE_DEVICE=cuda:0,cuda:1 RWAE_API_KEYS=secret python -m service
  curl -s localhost:8000/models
"""


class Server(uvicorn.Server):
    """Tells `/readyz` of the signal that ends the process."""

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        app = self.config.app
        if isinstance(app, FastAPI):
            app.state.draining = True
        super().handle_exit(sig, frame)


def main() -> None:
    """Reads the settings and serves until a signal comes."""
    argparse.ArgumentParser(
        prog="python -m service",
        description="Serves the models of a weights folder over HTTP. Settings come from the environment.",
        epilog=f"{_settings()}\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # clients' faults, which their answers tell
    try:
        settings = Settings()
        app = create_app(settings)
    except ValidationError as error:
        sys.exit(
            "\n".join(f"RWAE_{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors())
        )
    except DeviceError as error:
        sys.exit(str(error))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,  # `Named` logs requests
        server_header=False,
        timeout_graceful_shutdown=settings.grace_s,
    )
    Server(config).run()


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
