"""The server's life: from the socket to the signal that ends it."""

from __future__ import annotations

import contextlib
import os
import resource
from types import FrameType

import uvicorn
from fastapi import FastAPI
from typing_extensions import override

from service.edge.connection import Patient
from service.settings import Settings


class Server(uvicorn.Server):
    """Ends with what it has begun: the first signal stops accepting, the second stops everything."""

    @override
    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Ends the process: with 0 when all requests have their answers, at once with 128 + `sig` if told again.

        Uvicorn itself would in the end die of the first signal, which looks like a failure.
        """
        if self.should_exit:
            os._exit(128 + sig)  # nothing else is sure to end a process that is the first of its container
        self.should_exit = True
        if isinstance(self.config.app, FastAPI):
            self.config.app.state.draining = True


def serve(app: FastAPI, settings: Settings) -> None:
    """Serves until a signal comes."""
    _allow_files()
    Server(config_of(app, settings)).run()


def config_of(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Patient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,  # `Named` logs requests
        server_header=False,
        timeout_graceful_shutdown=settings.grace_s,
    )


def _allow_files() -> None:
    """Lets the process have as many connections as the system allows; by default it is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # some systems name a bound that they do not allow
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
