"""Deadlines: until when an answer is wanted."""

from __future__ import annotations

import asyncio
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edge.context import context_of
from service.engine import DeadlineError
from service.errors import problem


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

        async def leaving() -> None:
            while not gone.is_set():
                if (await receive())["type"] == "http.disconnect":
                    gone.set()

        async def lapse() -> Exception:
            """Waits until nobody wants an answer any more, and says why."""
            await body_read.wait()
            try:
                async with asyncio.timeout(self.seconds):
                    await leaving()
            except TimeoutError:
                if not started:
                    return DeadlineError(
                        f"The answer was not there within {self.seconds:g} s: ask for less, or send a shorter clip."
                    )
                await leaving()  # whoever reads a stream may do so at any time
            return ClientDisconnect()

        answering, lapsing = asyncio.ensure_future(self.app(scope, reading, starting)), asyncio.ensure_future(lapse())
        try:
            await asyncio.wait({answering, lapsing}, return_when=asyncio.FIRST_COMPLETED)
            if answering.done() or started:  # what is being sent may take as long as the client reads
                await answering
            elif isinstance(error := lapsing.result(), DeadlineError):
                await problem(error, context)(scope, receive, send)
            else:
                raise error
        finally:
            answering.cancel()
            lapsing.cancel()
            await asyncio.gather(answering, lapsing, return_exceptions=True)
