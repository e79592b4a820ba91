"""Connections: how long one may keep the service waiting."""

from __future__ import annotations

import asyncio

from typing_extensions import override
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

HEADERS_S = 10.0
"""From a connection's first moment, or the first byte of its next request, to the end of the request's headers."""
STALL_S = 30.0
LEAST_BYTES_S = 1024
"""Who takes fewer bytes of an answer than this, averaged over `STALL_S`, is taken for gone."""


class Patient(H11Protocol):
    """Uvicorn's protocol, which closes connections that idle between requests, and here also those that dawdle.

    It would wait for ever for headers that do not come, and for ever keep an answer that nobody takes.
    """

    _headers_due: asyncio.TimerHandle | None = None
    _progress_due: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_headers()

    @override
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._expect_headers()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        for timer in (self._headers_due, self._progress_due):
            if timer is not None:
                timer.cancel()

    @override
    def pause_writing(self) -> None:
        super().pause_writing()
        if self._progress_due is None:
            self._expect_progress()

    @override
    def resume_writing(self) -> None:
        super().resume_writing()
        if self._progress_due is not None:
            self._progress_due.cancel()
            self._progress_due = None

    def _expect_headers(self) -> None:
        """Starts waiting for headers where no request is running, and stops where one is."""
        cycle: RequestResponseCycle | None = self.cycle
        running = cycle is not None and not cycle.response_complete
        if running or self.transport.is_closing():
            if self._headers_due is not None:
                self._headers_due.cancel()
                self._headers_due = None
        elif self._headers_due is None:
            self._headers_due = self.loop.call_later(HEADERS_S, self.transport.abort)

    def _expect_progress(self) -> None:
        left = self.transport.get_write_buffer_size()

        def look() -> None:
            if left - self.transport.get_write_buffer_size() < STALL_S * LEAST_BYTES_S:
                self.transport.abort()
            else:
                self._expect_progress()

        self._progress_due = self.loop.call_later(STALL_S, look)
