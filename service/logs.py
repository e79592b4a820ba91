"""Logs: one pipe for the service, its libraries and Python's warnings."""

from __future__ import annotations

import logging
import sys
from typing import Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

LogFormat = Literal["console", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


def configure(form: LogFormat, level: LogLevel) -> None:
    """Sends all that is logged to standard error, a line for each event, with the id of the request that it is about.

    A fault's traceback has code in it but never a variable's value, which might be somebody's clip.
    """
    render: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if form == "json"
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
            )
        ]
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ExtraAdder(),
            _plain,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
        ],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *render],
    )
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # clients' faults, which their answers tell
    for chatty in ("asyncio", "PIL", "opentelemetry"):  # below this they tell of themselves
        logging.getLogger(chatty).setLevel(max(logging.INFO, logging.getLogger().level))


def _plain(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Leaves out uvicorn's second, coloured message, and the second time that Ray gives to every record."""
    for repeated in ("color_message", "_ray_timestamp_ns"):
        event.pop(repeated, None)
    return event
