"""Problems of RFC 9457: how what went wrong is told, whoever tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from starlette.responses import JSONResponse

from service.edge.context import Context

RETRY_AFTER_S = 5
MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    """One row: status, the tail of the problem's `type`, its title, and an example of its `detail`."""

    status: int
    name: str
    title: str
    example: str

    def told(
        self, detail: str, context: Context, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> JSONResponse:
        """The answer that tells a client; the kind is noted in the request's context.

        Args:
            detail: A sentence that says what to change.
            context: The request's.
            field: The one at fault.
            headers: Of the answer, beside those of a problem; a `Retry-After` among them goes before the usual one.
        """
        context.rejected = self.name
        body = {
            "type": f"urn:problem-type:rwae:{self.name}",
            "title": self.title,
            "status": self.status,
            "detail": detail,
            "request_id": context.id,
            **({} if field is None else {"field": field}),
        }
        usual = {"Retry-After": str(RETRY_AFTER_S)} if self.status in (429, 503) else {}
        return JSONResponse(body, self.status, {**usual, **(headers or {})}, MEDIA_TYPE)


QUEUE_FULL = Kind(429, "queue-full", "Too many requests wait", "Too many requests are waiting: try again in about 2 s.")
NOT_READY = Kind(503, "not-ready", "Not ready", "The models are being loaded: try again soon.")
LATE = Kind(
    504,
    "deadline",
    "Not done in time",
    "The answer was not there within 30 s: ask for less, or send a shorter clip.",
)
REPLICA_LOST = Kind(
    503,
    "replica-lost",
    "The request was lost",
    "The process that was at work on this request has ended: try again, another one will answer.",
)
