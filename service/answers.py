"""From what the engine answered to what is sent."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response

from rwae_core.media.encode import encode_video
from service import formats
from service.library import Model
from service.schemas import Format, Item
from service.verbs import Codes, Frames


@contextmanager
def stage(request: Request, name: str) -> Iterator[None]:
    """Tells `Server-Timing` how long a part took."""
    started = time.monotonic()
    yield
    request.state.context.stages[name] = time.monotonic() - started


async def reply(
    request: Request, model: Model, render: Callable[[], bytes | str], *, form: Format, seed: int | None = None
) -> Response:
    """Renders an answer off the event loop, and says which model and seed made it."""
    with stage(request, "encode"):
        body = await request.app.state.media.write(render)
    headers = {"X-Model": model.id, **({} if seed is None else {"X-Seed": str(seed)})}
    return Response(body, headers=headers, media_type=formats.MEDIA_TYPES[form])


def embedded(frames: Frames, fps: float, scale: int) -> dict[str, str]:
    """A clip as it stands in JSON."""
    data = encode_video(frames, fps, formats.EMBEDDED, scale)
    return {"media_type": formats.MEDIA_TYPES[formats.EMBEDDED], "data": base64.b64encode(data).decode()}


def item(frames: Frames, codes: Codes, fps: float, scale: int) -> Item:
    """A clip and its codes as they stand in JSON."""
    return Item(**embedded(frames, fps, scale), **numbers(codes))


def numbers(codes: Codes) -> dict[str, Any]:
    """Codes as they stand in JSON."""
    action = None if codes.action is None else codes.action.tolist()
    return {"z_c": codes.z_c.tolist(), "z_m": codes.z_m.tolist(), "action": action}
