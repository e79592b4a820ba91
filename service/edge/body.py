"""Bodies: how large and how slow one may be, and what happens to the rest of one that nobody reads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edge.context import context_of
from service.errors import BodyLateError, BodyTooLargeError, problem

LINGER_S = 2.0
"""How long what comes after an answer is thrown away, before the connection closes."""


class BodyLimit:
    """Ends requests that are too large, at once where `Content-Length` says so, else when they have become so; and
    those whose body does not come in time.

    What reads the body, and keeps it, never sees a byte beyond the limit.

    Args:
        app: What reads the body.
        limit_of: Bytes allowed, by path.
        seconds: From the end of the headers to the body's last byte.
    """  # noqa: D205

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int], seconds: float) -> None:
        self.app = app
        self._limit_of = limit_of
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, read, complete = self._limit_of(scope["path"]), 0, False
        end = asyncio.get_running_loop().time() + self._seconds
        if int(Headers(scope=scope).get("content-length", "0")) > limit:  # the server has checked that it is a number
            await problem(BodyTooLargeError(limit), context_of(scope))(scope, receive, send)
            return

        async def limited() -> Message:
            nonlocal read, complete
            if complete:  # what comes now is that the client has gone, whenever it does
                return await receive()
            try:
                async with asyncio.timeout_at(end):
                    message = await receive()
            except TimeoutError:
                raise BodyLateError(self._seconds) from None
            complete = not message.get("more_body")
            read += len(message.get("body", b""))
            if read > limit:
                raise BodyTooLargeError(limit)
            return message

        await self.app(scope, limited, send)


class Linger:
    """Gives who still sends when the answer is there the time to read it.

    Closing a connection on which bytes arrive resets it, and the answer may be lost with it; keeping it open would let
    a client send for ever. So the answer goes out at once, what still comes is thrown away for `LINGER_S`, and then the
    connection closes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        if headers.get("content-length", "0") == "0" and "transfer-encoding" not in headers:
            await self.app(scope, receive, send)
            return
        complete = held = False

        async def reading() -> Message:
            nonlocal complete
            message = await receive()
            complete = complete or not message.get("more_body")
            return message

        async def holding(message: Message) -> None:
            nonlocal held
            if not complete and message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
            elif not complete and not message.get("more_body"):
                held, message = True, {**message, "more_body": True}
            await send(message)

        await self.app(scope, reading, holding)
        if held:
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):  # the latter when the service ends
                async with asyncio.timeout(LINGER_S):
                    while not complete:
                        await reading()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
