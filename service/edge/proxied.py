"""Answers of the proxy before the replicas, which are to be like the service's own.

Nothing here imports torch: Ray kills a proxy that takes long to start.
"""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edge.context import Context
from service.edge.headers import SecurityHeaders
from service.problems import LATE, NOT_READY, QUEUE_FULL, REPLICA_LOST
from service.settings import Settings

logger = logging.getLogger(__name__)

ANSWERS_S = 5
"""What may pass on the way to a replica and back beyond the time that it may take itself."""
OWN = "/-/"
"""Where the proxy answers for itself, to probes."""


def at_proxy() -> list[Middleware]:
    """What Ray's proxies put before the replicas; `RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH` names it to them."""
    settings = Settings()
    return [Middleware(Proxied, seconds=settings.upload_timeout_s + settings.request_timeout_s + ANSWERS_S)]


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
        said: JSONResponse | None = None

        async def passing(message: Message) -> None:
            nonlocal begun, said
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if len(headers.getlist("X-Request-ID")) < 2:  # an answer of the service names its request itself
                    said = _problem(message["status"], headers, context)
                else:
                    begun, headers["X-Request-ID"] = True, context.id
            if said is None:
                await send(message)

        answering = asyncio.ensure_future(self.app(scope, receive, passing))
        try:
            await asyncio.wait({answering}, timeout=self._seconds)
            if answering.done() or begun:  # what is being sent may take as long as the client reads
                await answering
            else:
                said = LATE.told(
                    f"No answer had begun within {self._seconds:g} s: ask for less, or try again.", context
                )
        except Exception:  # whatever Ray's proxy raised, and it documents nothing: the client gets a documented 503
            logger.exception("a request failed at the proxy")
        finally:
            answering.cancel()
        if not begun:
            answer = said or REPLICA_LOST.told(REPLICA_LOST.example, context)
            answer.headers["X-Request-ID"] = context.id
            await SecurityHeaders(answer, pages={})(scope, receive, send)


def _problem(status: int, headers: Headers, context: Context) -> JSONResponse:
    """What the proxy means by an answer of its own."""
    if status == 429:
        waits = {name: headers[name] for name in ("Retry-After",) if name in headers}
        return QUEUE_FULL.told("Too many requests are waiting: try again soon.", context, headers=waits)
    if status == 408:
        return LATE.told("The answer was not there in time: ask for less, or send a shorter clip.", context)
    return NOT_READY.told("No replica is ready: try again soon.", context)
