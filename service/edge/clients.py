"""Clients: how much one may ask at once."""

from __future__ import annotations

from collections import Counter

from starlette.types import ASGIApp, Receive, Scope, Send

from service.edge.context import context_of
from service.errors import ClientBusyError, problem


class Clients:
    """Turns away a client that already has as many requests running as one may have.

    Args:
        app: What is guarded.
        most: Requests of one client at once. A client is its key where keys are set, else its address.
        open_paths: Not counted.
    """

    def __init__(self, app: ASGIApp, most: int, open_paths: frozenset[str]) -> None:
        self.app = app
        self._most = most
        self._open_paths = open_paths
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["path"] in self._open_paths:
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        client = context.client or (scope.get("client") or ("unknown",))[0]
        if self._running[client] >= self._most:
            await problem(ClientBusyError(self._most), context)(scope, receive, send)
            return
        self._running[client] += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self._running[client] -= 1
            if not self._running[client]:
                del self._running[client]
