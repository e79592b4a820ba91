"""Streams: how many may run at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from service.errors import StreamsFullError


class Streams:
    """Places for answers that go on for as long as somebody reads them.

    Args:
        most: How many there are.

    Attributes:
        running: How many are taken.
    """

    def __init__(self, most: int) -> None:
        self.running = 0
        self._most = most

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place, for as long as the context lasts; raises StreamsFullError where all are taken."""
        if self.running >= self._most:
            raise StreamsFullError(self._most)
        self.running += 1
        try:
            yield
        finally:
            self.running -= 1
