"""What a call can raise; the text of each is a sentence that says what to change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import httpx


class ServiceError(Exception):
    """The service gave no answer that can be used."""


class UnreachableError(ServiceError):
    """Nobody answers at the address, or the connection broke."""


class TooSlowError(ServiceError):
    """The answer was not there within the client's `timeout`."""


class ProblemError(ServiceError):
    """The service answered with an error (RFC 9457).

    Attributes:
        status: The HTTP status.
        type: Names the kind of error; `about:blank` where something before the service answered.
        title: The kind of error in words.
        detail: What to change; also the text of this error.
        field: The field at fault, where one is.
        request_id: What the service's log calls the request, where it was told.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        type: str = "about:blank",  # noqa: A002  as the RFC calls it
        title: str = "",
        field: str | None = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.type, self.title, self.detail = status, type, title, detail
        self.field, self.request_id = field, request_id


def checked(response: httpx.Response) -> httpx.Response:
    """The response, if it is an answer.

    Raises:
        ProblemError: it is an error.
    """
    if response.is_success:
        return response
    try:
        told = response.json()
        detail = str(told["detail"])
    except (ValueError, KeyError, TypeError):  # of a proxy, say
        raise ProblemError(
            response.status_code, f"The service answered {response.status_code} {response.reason_phrase}."
        ) from None
    raise ProblemError(
        response.status_code,
        detail,
        type=told.get("type", "about:blank"),
        title=told.get("title", ""),
        field=told.get("field"),
        request_id=told.get("request_id"),
    )


@contextmanager
def told(base_url: httpx.URL) -> Iterator[None]:
    """Makes sentences of what goes wrong on the way."""
    try:
        yield
    except httpx.TimeoutException as error:
        raise TooSlowError(f"{base_url} did not answer in time: ask for less, or give the client more time.") from error
    except (httpx.TransportError, httpx.InvalidURL) as error:
        why = str(error).rstrip(".") or type(error).__name__
        raise UnreachableError(f"{base_url} cannot be reached: {why}.") from error
