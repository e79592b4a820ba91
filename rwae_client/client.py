"""Clients: one that waits for answers, one that is awaited."""

from __future__ import annotations

import asyncio
import functools
import inspect
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from rwae_client import calls
from rwae_client.calls import Call
from rwae_client.errors import checked, told
from rwae_client.retries import Retries

P = ParamSpec("P")
Result = TypeVar("Result")

DEFAULT_URL = "http://localhost:8000"
TIMEOUT_S = 120.0
"""More than the service itself takes before it gives up."""


def _waiting(make: Callable[P, Call[Result]]) -> Callable[Concatenate[Client, P], Result]:
    @functools.wraps(make)
    def method(self: Client, *args: P.args, **kwargs: P.kwargs) -> Result:
        return self._ask(make(*args, **kwargs))

    return _signed(method, make)


def _awaited(make: Callable[P, Call[Result]]) -> Callable[Concatenate[AsyncClient, P], Awaitable[Result]]:
    @functools.wraps(make)
    async def method(self: AsyncClient, *args: P.args, **kwargs: P.kwargs) -> Result:
        return await self._ask(make(*args, **kwargs))

    return _signed(method, make)


def _signed(method: Any, make: Callable[..., object]) -> Any:
    """Shows people the parameters of a call and its result, as if the method had been written out."""
    call = inspect.signature(make)
    own = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    result = str(call.return_annotation).removeprefix("Call[").removesuffix("]")
    method.__signature__ = call.replace(parameters=[own, *call.parameters.values()], return_annotation=result)
    method.__annotations__ = {**make.__annotations__, "return": result}
    return method


class _Settings:
    """What both clients are told."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float | None, retries: Retries) -> None:
        self.url = httpx.URL(url if "://" in url else f"http://{url}")
        self._retries = retries
        self._options: dict[str, Any] = {
            "base_url": self.url,
            "timeout": timeout_s,
            "headers": {} if api_key is None else {"Authorization": f"Bearer {api_key}"},
        }

    @staticmethod
    def _request(call: Call[Any]) -> dict[str, Any]:
        files = None if call.files is None else {name: ("clip", data) for name, data in call.files.items()}
        return {"method": call.method, "url": call.path, "json": call.json, "data": call.form, "files": files}


class Client(_Settings):
    """Asks the service and waits for its answers. It may be used by several threads.

    Args:
        url: Where the service listens.
        api_key: One of the service's keys, where it has any.
        timeout_s: Seconds that the service may stay silent; None for any time.
        retries: When a request is sent again.
        transport: What httpx is to send with, instead of the network.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float | None = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008  it does not change
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        with told(httpx.URL()):
            super().__init__(url, api_key, timeout_s, retries)
        self._http = httpx.Client(**self._options, transport=transport)

    models = _waiting(calls.models)
    encode = _waiting(calls.encode)
    decode = _waiting(calls.decode)
    swap = _waiting(calls.swap)
    swap_both = _waiting(calls.swap_both)
    generate = _waiting(calls.generate)
    generate_each = _waiting(calls.generate_each)

    def _ask(self, call: Call[Result]) -> Result:
        for sent in itertools.count(1):
            with told(self.url):
                answer = self._http.request(**self._request(call))
            wait_s = self._retries.wait_s(sent, answer)
            if wait_s is None:
                break
            time.sleep(wait_s)
        return call.read(checked(answer))

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


class AsyncClient(_Settings):
    """Asks the service; its calls are awaited, and any number of them may run at once.

    Args:
        url: Where the service listens.
        api_key: One of the service's keys, where it has any.
        timeout_s: Seconds that the service may stay silent; None for any time.
        retries: When a request is sent again.
        transport: What httpx is to send with, instead of the network.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        timeout_s: float | None = TIMEOUT_S,
        retries: Retries = Retries(),  # noqa: B008  it does not change
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        with told(httpx.URL()):
            super().__init__(url, api_key, timeout_s, retries)
        self._http = httpx.AsyncClient(**self._options, transport=transport)

    models = _awaited(calls.models)
    encode = _awaited(calls.encode)
    decode = _awaited(calls.decode)
    swap = _awaited(calls.swap)
    swap_both = _awaited(calls.swap_both)
    generate = _awaited(calls.generate)
    generate_each = _awaited(calls.generate_each)

    async def _ask(self, call: Call[Result]) -> Result:
        for sent in itertools.count(1):
            with told(self.url):
                answer = await self._http.request(**self._request(call))
            wait_s = self._retries.wait_s(sent, answer)
            if wait_s is None:
                break
            await asyncio.sleep(wait_s)
        return call.read(checked(answer))

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()
