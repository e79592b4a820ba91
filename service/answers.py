"""From what the engine answered to what is sent."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import Request, Response

from service.formats import MEDIA_TYPES
from service.library import Model
from service.schemas import Format, Item, Items, Swapped, Swaps
from service.verbs.base import Codes


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
    return Response(body, headers=headers, media_type=MEDIA_TYPES[form])


def swaps(model: Model, there: bytes, back: bytes, form: Format) -> str:
    """Both directions of a swap as JSON, from their files."""
    directions = [
        Swapped(content="content", motion="motion", **_embedded(there, form)),
        Swapped(content="motion", motion="content", **_embedded(back, form)),
    ]
    return Swaps(model=model.id, swaps=directions).model_dump_json()


def items(model: Model, seed: int | None, clips: Iterable[tuple[bytes, Codes]], form: Format) -> str:
    """Clips and their codes as JSON, from their files."""
    listed = [Item(**_embedded(data, form), **numbers(codes)) for data, codes in clips]
    return Items(model=model.id, seed=seed, items=listed).model_dump_json()


def numbers(codes: Codes) -> dict[str, Any]:
    """Codes as they stand in JSON."""
    action = None if codes.action is None else codes.action.tolist()
    return {"z_c": codes.z_c.tolist(), "z_m": codes.z_m.tolist(), "action": action}


def _embedded(data: bytes, form: Format) -> dict[str, str]:
    return {"media_type": MEDIA_TYPES[form], "data": base64.b64encode(data).decode()}
