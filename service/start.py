"""From settings to a service: what `python -m service` and `rwae serve` share."""

from __future__ import annotations

import gc
from typing import Any

from pydantic import ValidationError

from rwae_core.memory import keep_freed_memory
from service import logs
from service.app import create_app
from service.devices import DeviceError
from service.server import serve
from service.settings import Settings


class StartError(Exception):
    """The settings are not valid; the message has a line for each that is not."""


def read_settings(**given: Any) -> Settings:
    """Settings from the environment, and over it those that are given.

    Raises:
        StartError: one of them is out of bounds.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        raise StartError(
            "\n".join(f"RWAE_{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}" for fault in error.errors())
        ) from error


def start(**given: Any) -> None:
    """Serves until a signal comes.

    Raises:
        StartError: a setting is out of bounds, or names a device that this machine does not have.
    """
    keep_freed_memory()
    settings = read_settings(**given)
    logs.configure(settings.log_format, settings.log_level)
    try:
        app = create_app(settings)
    except DeviceError as error:
        raise StartError(str(error)) from error
    # What is imported stays. Python would now and then look through all of it for garbage, a tenth of a second in which
    # nobody is answered.
    gc.collect()
    gc.freeze()
    serve(app, settings)
