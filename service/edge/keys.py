"""Keys: who may ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.edge.context import context_of
from service.edge.key import Key
from service.errors import KeyMissingError, problem


class Keys:
    """Turns away, before the body is read, who brings no key.

    Args:
        app: What is guarded.
        keys: Any of these opens any path.
        open_paths: Open to all.
        own_keys: Paths with keys of their own.
    """

    def __init__(
        self, app: ASGIApp, keys: Sequence[Key], open_paths: frozenset[str], own_keys: Mapping[str, Sequence[Key]]
    ) -> None:
        self.app = app
        self._keys = keys
        self._open_paths = open_paths
        self._own_keys = own_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] == "http":
            path = scope["path"]
            keys = self._own_keys.get(path, [] if path in self._open_paths else self._keys)
            if keys:
                brought = _brought(Headers(scope=scope))
                # All of them are compared, so that the time taken tells nothing about the keys.
                if sum(key.opens(brought) for key in keys) == 0:
                    error = KeyMissingError(
                        "Send one of the service's keys, as 'Authorization: Bearer …' or as 'X-API-Key'."
                    )
                    await problem(error, context_of(scope))(scope, receive, send)
                    return
                context_of(scope).client = brought.name
        await self.app(scope, receive, send)


def _brought(headers: Headers) -> Key:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return Key(token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", ""))
