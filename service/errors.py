"""The one table of what can go wrong: errors of the core, of media, of the engine and of HTTP, as RFC 9457 problems."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

import fastapi
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from rwae_core.errors import ShapeError
from rwae_core.media.errors import (
    MediaError,
    MediaModalityError,
    MediaTimeoutError,
    MediaTooLargeError,
    UndecodableMediaError,
    UnsupportedMediaError,
)
from service import problems
from service.edge.context import Context
from service.engine import ClosedError, DeadlineError, QueueFullError
from service.library import NoModelError, UnknownModelError
from service.memory import MemoryShortError
from service.networks import ModelUnavailableError
from service.problems import Kind

logger = logging.getLogger(__name__)


class FieldError(Exception):
    """A field of the request is at fault; `cause` says so where another error is the reason."""

    def __init__(self, field: str, detail: str, cause: Exception | None = None) -> None:
        super().__init__(detail)
        self.field = field
        self.cause = cause


class KeyMissingError(Exception):
    """Keys are set, and the request brought none or a wrong one."""


class BodyTooLargeError(fastapi.HTTPException):
    """The body has more bytes than may be sent here. While FastAPI reads a body it lets only its own errors pass."""

    def __init__(self, limit: int) -> None:
        super().__init__(
            413, f"The body has more than the {limit:,} bytes that are allowed: send a shorter or smaller clip."
        )


class BodyLateError(fastapi.HTTPException):
    """The body does not come in time. A 408 would have some browsers send the same again unasked."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            504, f"The body was not there within {seconds:g} s: send a smaller file, or over a faster connection."
        )


class ClientBusyError(Exception):
    """The client has as many requests running as one may have."""

    retry_after_s = 1

    def __init__(self, most: int) -> None:
        super().__init__(f"As many of your requests are running as may be, {most}: wait for one of them to end.")


class StreamsFullError(Exception):
    """As many streams run as may."""

    retry_after_s = 10

    def __init__(self, most: int) -> None:
        super().__init__(
            f"As many streams are running as may be, {most}: try again later, or ask for a number of frames without "
            "'stream'."
        )


class NoRoomError(Exception):
    """An upload cannot be kept until it is decoded: the temporary folder is full, or the process has too many files."""


class NotReadyError(Exception):
    """The service starts or ends."""


class UnreadableBodyError(Exception):
    """Stands for FastAPI's and the form parser's own 400: a body of which nothing can be made."""


class UnlistedError(Exception):
    """Stands for everything that is not in the table, and says nothing about it."""


KINDS: dict[type[Exception], Kind] = {
    UndecodableMediaError: Kind(
        400, "undecodable-media", "The file cannot be decoded", "file: The file is empty: send a clip."
    ),
    UnreadableBodyError: Kind(
        400,
        "bad-request",
        "Bad Request",
        "The body cannot be read: it is cut off, nested too deep, or not in UTF-8.",
    ),
    KeyMissingError: Kind(
        401,
        "key-missing",
        "A key is needed",
        "Send one of the service's keys, as 'Authorization: Bearer …' or as 'X-API-Key'.",
    ),
    UnknownModelError: Kind(
        404, "unknown-model", "No such model", "There is no model of that name; served are: sprites."
    ),
    MediaTooLargeError: Kind(
        413,
        "too-large",
        "Too large",
        "file: The clip has more than the 512 frames that are allowed: send a shorter part of it.",
    ),
    BodyTooLargeError: Kind(
        413,
        "too-large",
        "Too large",
        "The body has more than the 33,619,968 bytes that are allowed: send a shorter or smaller clip.",
    ),
    UnsupportedMediaError: Kind(
        415,
        "unsupported-media",
        "Not a kind of file that is read",
        "file: The bytes are of no supported kind: send MP4, MOV, WebM, GIF, animated WebP or APNG.",
    ),
    FieldError: Kind(422, "invalid-field", "A field is not valid", "scale: Input should be less than or equal to 16."),
    ShapeError: Kind(422, "invalid-field", "A field is not valid", "z_m has no step; a clip has at least one."),
    MediaModalityError: Kind(
        422,
        "wrong-modality",
        "Not what the model reads",
        "file: The file holds sound only, and the model reads pictures.",
    ),
    QueueFullError: problems.QUEUE_FULL,
    ClientBusyError: Kind(
        429,
        "client-busy",
        "Too many of this client's requests are running",
        "As many of your requests are running as may be, 4: wait for one of them to end.",
    ),
    StreamsFullError: Kind(
        429,
        "streams-full",
        "Too many streams are running",
        "As many streams are running as may be, 8: try again later, or ask for a number of frames without 'stream'.",
    ),
    NotReadyError: problems.NOT_READY,
    NoModelError: Kind(503, "no-model", "No model is loaded", "No model is loaded; the log of the service says why."),
    MemoryShortError: Kind(
        503,
        "no-memory",
        "Not enough memory",
        "There was not enough memory for this request: try again soon, or ask for less.",
    ),
    ModelUnavailableError: Kind(
        503,
        "model-unavailable",
        "The model cannot be read",
        "The model 'sprites' cannot be read at the moment: try again soon, or ask another one.",
    ),
    ClosedError: Kind(503, "shutting-down", "Shutting down", "The service is shutting down: try again soon."),
    NoRoomError: Kind(
        503,
        "no-room",
        "No room for uploads",
        "The service has no room for this upload at the moment: try again later, or send a smaller file.",
    ),
    DeadlineError: problems.LATE,
    MediaTimeoutError: Kind(
        504, "deadline", "Not done in time", "file: The file was not decoded in time: send a shorter clip."
    ),
    BodyLateError: Kind(
        504,
        "deadline",
        "Not done in time",
        "The body was not there within 60 s: send a smaller file, or over a faster connection.",
    ),
    UnlistedError: Kind(
        500,
        "internal",
        "Internal error",
        "Something went wrong inside the service; its log says more about this request_id.",
    ),
}


def problem(error: Exception, context: Context) -> JSONResponse:
    """The answer that tells a client of an error; its kind is noted in the request's context."""
    if isinstance(error, HTTPException) and isinstance(error.__cause__, OSError):  # while FastAPI read a form
        logger.error("an upload cannot be kept: %s", error.__cause__.strerror)
        error = NoRoomError(KINDS[NoRoomError].example)
    if isinstance(error, RequestValidationError):
        error = _first_fault(error)
    field = error.field if isinstance(error, FieldError) else None
    detail = str(error)
    headers: dict[str, str] = {}
    if isinstance(error, FieldError) and error.cause is not None:
        error = error.cause
    kind = next((KINDS[base] for base in type(error).__mro__ if base in KINDS), None)
    if isinstance(error, HTTPException):
        detail = error.detail
        headers.update(error.headers or {})
        if kind is None:
            phrase = HTTPStatus(error.status_code).phrase
            kind = Kind(error.status_code, phrase.lower().replace(" ", "-"), phrase, "")
            detail = _HTTP_DETAILS.get(error.detail, error.detail)
    elif kind is None:
        kind = KINDS[UnlistedError]
        detail = kind.example
    if kind.status in (429, 503) and hasattr(error, "retry_after_s"):
        headers["Retry-After"] = str(error.retry_after_s)
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return kind.told(detail, context, field=field, headers=headers)


def register(app: fastapi.FastAPI) -> None:
    """Makes every error of the table a problem."""

    async def answer(request: Request, error: Exception) -> JSONResponse:
        if isinstance(error.__cause__, ClientDisconnect):  # while FastAPI read the body; nobody is left to be told
            raise error.__cause__
        return problem(error, request.state.context)

    for kind in (*KINDS, MediaError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, answer)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI of the errors with these statuses, each with an example."""
    described: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        rows = {kind.name: kind for kind in reversed([*KINDS.values(), problems.REPLICA_LOST]) if kind.status == status}
        described[status] = {
            "description": "; ".join(row.title for row in rows.values()),
            "content": {
                problems.MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "examples": {
                        name: {
                            "value": {
                                "type": f"urn:problem-type:rwae:{name}",
                                "title": row.title,
                                "status": status,
                                "detail": row.example,
                                "request_id": "0f3c1d9c5a7b4e5f",
                            }
                        }
                        for name, row in rows.items()
                    },
                }
            },
        }
        if status in (429, 503):
            described[status]["headers"] = {
                "Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}
            }
    return described


_HTTP_DETAILS = {
    "Not Found": "There is nothing at this path; /docs lists what there is.",
    "Method Not Allowed": "This path does not answer to this method; /docs lists what there is.",
    "There was an error parsing the body": KINDS[UnreadableBodyError].example,
}

_MESSAGES = {
    "missing": "This field is needed.",
    "extra_forbidden": "There is no such field; /docs lists those there are.",
    "json_invalid": "The body is not valid JSON.",
    "model_attributes_type": "Send the fields as a JSON object with 'Content-Type: application/json'.",
}


def _first_fault(error: RequestValidationError) -> FieldError:
    """The first fault that validation found, without the input itself, which may be large or a file's name."""
    fault = error.errors()[0]
    path = [part for part in fault["loc"] if part != "body"] if fault["type"] != "json_invalid" else []
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".") or "body"
    message = _MESSAGES.get(fault["type"], fault["msg"].removeprefix("Value error, ").rstrip(".") + ".")
    if "UploadFile" in message:
        message = "This has to be a file: a part of the form with a filename."
    return FieldError(field, f"{field}: {message}")
