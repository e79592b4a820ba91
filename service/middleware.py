"""What every request passes on its way in and out: its name and log, keys, size, deadline. Pure ASGI."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import math
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine import DeadlineError
from service.errors import BodyTooLargeError, KeyMissingError, problem
from service.metrics import Metrics

logger = logging.getLogger(__name__)

CLIENT_GONE = 499
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


@dataclass
class Context:
    """One request: its id, the seconds its stages took, and when its answer is due (`time.monotonic`)."""

    id: str
    stages: dict[str, float] = field(default_factory=dict)
    deadline: float = math.inf


def context_of(scope: Scope) -> Context:
    """The context that `Named` gave a request."""
    context: Context = scope["state"]["context"]
    return context


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
        asked = Headers(scope=scope).get("x-request-id", "")
        context = Context(asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex)
        scope.setdefault("state", {})["context"] = context
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

        try:
            await self.app(scope, receive, named)
        except ClientDisconnect:
            pass
        except Exception as error:
            logger.exception("request %s failed", context.id)
            if status == CLIENT_GONE:
                await problem(error, context.id)(scope, receive, named)
        finally:
            took = time.monotonic() - started
            route = getattr(scope.get("route"), "path", "none")
            self.metrics.answered(route, scope["method"], status, took, context.stages)
            logger.info("%s %s %s %d %.0f ms", context.id, scope["method"], route, status, 1000 * took)


class Keys:
    """Turns away, before the body is read, who brings no key.

    Args:
        app: What is guarded.
        keys: Any of these opens any path.
        open_paths: Open to all.
        own_keys: Paths with a key of their own.
    """

    def __init__(
        self, app: ASGIApp, keys: Sequence[str], open_paths: frozenset[str], own_keys: Mapping[str, str]
    ) -> None:
        self.app = app
        self._keys = [_digest(key) for key in keys]
        self._open_paths = open_paths
        self._own_keys = {path: [_digest(key)] for path, key in own_keys.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] == "http":
            path = scope["path"]
            keys = self._own_keys.get(path, [] if path in self._open_paths else self._keys)
            if keys and not _has_key(Headers(scope=scope), keys):
                error = KeyMissingError(
                    "Send one of the service's keys, as 'Authorization: Bearer …' or as 'X-API-Key'."
                )
                await problem(error, context_of(scope).id)(scope, receive, send)
                return
        await self.app(scope, receive, send)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _has_key(headers: Headers, keys: Sequence[bytes]) -> bool:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    brought = _digest(token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", ""))
    # Each in constant time, and all of them, so that the time taken tells nothing about the keys.
    return sum(hmac.compare_digest(brought, key) for key in keys) > 0


class BodyLimit:
    """Ends requests that are too large: at once where `Content-Length` says so, else when they have become so.

    Args:
        app: What reads the body.
        limit_of: Bytes allowed, by path.
    """

    def __init__(self, app: ASGIApp, limit_of: Callable[[str], int]) -> None:
        self.app = app
        self._limit_of = limit_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit, read = self._limit_of(scope["path"]), 0
        if int(Headers(scope=scope).get("content-length", "0")) > limit:  # the server has checked that it is a number
            await problem(BodyTooLargeError(limit), context_of(scope).id)(scope, receive, send)
            return

        async def limited() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > limit:
                raise BodyTooLargeError(limit)
            return message

        await self.app(scope, limited, send)


class Deadline:
    """Drops a request when its client is gone, or when its answer is not there in time after the body has been read.

    What the request was doing is cancelled, and with it its place in every queue.
    """

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        body_read, gone = asyncio.Event(), asyncio.Event()
        started = False

        async def reading() -> Message:
            if body_read.is_set():  # from here on, `lapse` reads
                await gone.wait()
                return {"type": "http.disconnect"}
            message = await receive()
            if not message.get("more_body"):
                context.deadline = time.monotonic() + self.seconds
                body_read.set()
                if message["type"] == "http.disconnect":
                    gone.set()
            return message

        async def starting(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        async def lapse() -> Exception:
            """Waits until nobody wants an answer any more, and says why."""
            await body_read.wait()
            try:
                async with asyncio.timeout(self.seconds):
                    while not gone.is_set():
                        if (await receive())["type"] == "http.disconnect":
                            gone.set()
            except TimeoutError:
                return DeadlineError(
                    f"The answer was not there within {self.seconds:g} s: ask for less, or send a shorter clip."
                )
            return ClientDisconnect()

        answering, lapsing = asyncio.ensure_future(self.app(scope, reading, starting)), asyncio.ensure_future(lapse())
        try:
            await asyncio.wait({answering, lapsing}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() or started:  # what is being sent may take as long as the client reads
                await answering
            elif isinstance(error := lapsing.result(), DeadlineError):
                await problem(error, context.id)(scope, receive, send)
            else:
                raise error
        finally:
            answering.cancel()
            lapsing.cancel()
            await asyncio.gather(answering, lapsing, return_exceptions=True)
