"""Answers of the proxy before the replicas, which are to be like the service's own."""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edge.context import Context
from service.edge.headers import SecurityHeaders
from service.engine import DeadlineError, QueueFullError
from service.errors import NotReadyError, ReplicaLostError, problem

logger = logging.getLogger(__name__)

OWN = "/-/"
"""Where the proxy answers for itself, to probes."""


class Proxied:
    """Names requests before the proxy does, and says what it says of its own accord as problems.

    Args:
        app: The proxy, which adds its own `X-Request-ID` to answers, and answers itself where no replica does.
        seconds: Until an answer has begun: even where a replica neither answers nor dies, nobody waits for ever.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"].startswith(OWN):
            await self.app(scope, receive, send)
            return
        context = Context.of(Headers(scope=scope))
        MutableHeaders(scope=scope)["X-Request-ID"] = context.id
        begun = False
        own: Exception | None = None

        async def passing(message: Message) -> None:
            nonlocal begun, own
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if len(headers.getlist("X-Request-ID")) < 2:  # an answer of the service names its request itself
                    own = _said(message["status"], headers)
                else:
                    begun, headers["X-Request-ID"] = True, context.id
            if own is None:
                await send(message)

        answering = asyncio.ensure_future(self.app(scope, receive, passing))
        try:
            await asyncio.wait({answering}, timeout=self._seconds)
            if answering.done() or begun:  # what is being sent may take as long as the client reads
                await answering
            else:
                own = DeadlineError(f"No answer had begun within {self._seconds:g} s: ask for less, or try again.")
        except Exception:
            logger.exception("a request failed at the proxy")
        finally:
            answering.cancel()
        if not begun:
            answer = problem(own or ReplicaLostError(), context)
            answer.headers["X-Request-ID"] = context.id
            await SecurityHeaders(answer, pages={})(scope, receive, send)


def _said(status: int, headers: Headers) -> Exception:
    """What the proxy means by an answer of its own."""
    if status == 429:
        return QueueFullError(int(headers.get("retry-after", "1")))
    if status == 408:
        return DeadlineError("The answer was not there in time: ask for less, or send a shorter clip.")
    return NotReadyError("No replica is ready: try again soon.")
