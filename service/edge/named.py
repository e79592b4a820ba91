"""Each request's name, and what is told of it: headers, log and metrics."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bound_contextvars

from service.edge.context import Context
from service.engine import ClosedError
from service.errors import problem
from service.metrics import Metrics

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
PROBED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked every few seconds, so that at the level of others' lines they would hide those."""


class Named:
    """Gives each request its id and context; tells both in headers, log and metrics; answers what nothing caught."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = scope.setdefault("state", {})["context"] = Context.of(Headers(scope=scope))
        started, status = time.monotonic(), CLIENT_GONE

        async def named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = context.id
                if context.stages:
                    headers["Server-Timing"] = ", ".join(
                        f"{stage};dur={1000 * took:.1f}" for stage, took in context.stages.items()
                    )
            await send(message)

        with bound_contextvars(request_id=context.id), self.metrics.in_flight.track_inprogress():
            try:
                await self.app(scope, receive, named)
            except ClientDisconnect:
                pass
            except asyncio.CancelledError:  # the server does so to what is not done when its grace period ends
                if status == CLIENT_GONE:
                    late = ClosedError("The service shut down before this was done: try again soon.")
                    await problem(late, context)(scope, receive, named)
            except Exception as error:
                logger.exception("a request failed")
                if status == CLIENT_GONE:
                    await problem(error, context)(scope, receive, named)
            finally:
                took = time.monotonic() - started
                route = getattr(scope.get("route"), "path", "none")
                self.metrics.answered(route, scope["method"], status, took, context)
                logger.log(
                    logging.DEBUG if route in PROBED else logging.INFO,
                    "request",
                    extra={
                        "method": scope["method"],
                        "route": route,
                        "status": status,
                        "ms": round(1000 * took, 1),
                        **({"rejected": context.rejected} if context.rejected else {}),
                    },
                )
