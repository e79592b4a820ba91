"""Videos sent while they are made.

A part's way: engine → `Fragments` → the connection; only when the client has taken it is the next one asked for. So a
stream has one work in the queue at the most, behind whatever came before it, and keeps one part in memory.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import partial

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from rwae_core.media.encode import grid
from rwae_core.media.fragments import Fragments
from service.answers import stage
from service.calls.asking import ask
from service.edge.context import Context
from service.library import Model
from service.media import MediaRooms
from service.settings import Settings
from service.streams import Streams
from service.verbs.stream import Stream

PART_FRAMES = 16
"""Frames of a part: as few as are worth a pass, for others wait while one is made."""


async def parts(
    request: Request, model: Model, stream: Stream, film: Fragments, *, frames: int | None
) -> AsyncGenerator[bytes, None]:
    """The bytes of a stream's film, part by part, until it has so many frames, its time is over or the service ends.

    Raises:
        StreamsFullError: as many run as may.
        QueueFullError: there is no room for the first part; those after it wait.
        DeadlineError: a part was not there in time.
    """
    context: Context = request.state.context
    settings: Settings = request.app.state.settings
    media: MediaRooms = request.app.state.media
    streams: Streams = request.app.state.streams
    end = time.monotonic() + settings.max_stream_s
    with streams.place():
        while frames is None or stream.frames < frames:
            begun = stream.frames > 0
            if begun:
                if time.monotonic() >= end or request.app.state.draining:
                    break
                context.deadline = time.monotonic() + settings.request_timeout_s
            wanted = PART_FRAMES if frames is None else min(PART_FRAMES, frames - stream.frames)
            clips = await ask(request, model, stream.next(wanted), continues=begun)
            pixels = clips[0] if len(clips) == 1 else grid(clips)
            with stage(request, "encode"):
                part = await media.write(partial(film.add, pixels))
            yield part
        yield await media.write(film.end)


class Streamed(StreamingResponse):
    """An answer whose first part is there already, and whose making ends with it, however it ends."""

    def __init__(
        self, first: bytes, rest: AsyncGenerator[bytes, None], *, headers: Mapping[str, str], media_type: str
    ) -> None:
        self._rest = rest

        async def whole() -> AsyncGenerator[bytes, None]:
            yield first
            async for part in rest:
                yield part

        super().__init__(whole(), headers=headers, media_type=media_type)

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends it."""
        async with aclosing(self._rest):
            await super().__call__(scope, receive, send)
