"""When a request is sent once more."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

BUSY = frozenset({429, 503})


@dataclass(frozen=True)
class Retries:
    """Sends again what the service was too busy for, when it says that it will have time (`Retry-After`).

    No call changes anything in the service, so that each may be sent any number of times.

    Attributes:
        most: How many times a request is sent again; 0 tells of every error at once.
        longest_s: The longest wait, in seconds; if the service asks for more, its error is told at once.
        first_s: The first wait where the service says nothing; each further one is twice as long, give or take half.
    """

    most: int = 4
    longest_s: float = 60.0
    first_s: float = 0.5

    def wait_s(self, sent: int, response: httpx.Response) -> float | None:
        """Seconds to wait before the request, sent so many times, is sent again; None where it is not."""
        if response.status_code not in BUSY or sent > self.most:
            return None
        asked = _seconds(response.headers.get("Retry-After"))
        if asked is None:
            return min(self.longest_s, self.first_s * 2 ** (sent - 1) * random.uniform(0.5, 1.5))  # noqa: S311
        return asked if asked <= self.longest_s else None


def _seconds(header: str | None) -> float | None:
    """What `Retry-After` says, a number or a date; None where it says neither."""
    if header is None:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # the latter of a date without a zone
        return None
