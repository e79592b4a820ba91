"""One keep-alive connection: requests go out as bytes made beforehand, so that the load costs little."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from dataclasses import dataclass
from typing import Any, Self

from typing_extensions import override

ANSWER_S = 120.0
"""Seconds after which an answer is not waited for any longer."""

STAGE = re.compile(r"(\w+);dur=([\d.]+)")


@dataclass(frozen=True)
class Asked:
    """A request as it is sent: its path, for the tables, and all its bytes."""

    path: str
    data: bytes


@dataclass(frozen=True)
class Answered:
    """Status, headers (names in lower case) and body of an answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def stages(self) -> dict[str, float]:
        """Milliseconds of each stage, as `Server-Timing` has them."""
        return {name: float(took) for name, took in STAGE.findall(self.headers.get("server-timing", ""))}

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class LostError(Exception):
    """The connection ended; `begun` says whether an answer had begun."""

    def __init__(self, begun: bool) -> None:
        super().__init__("the connection ended before the answer did")
        self.begun = begun


def get(path: str) -> Asked:
    """A GET request."""
    return Asked(path, f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())


def post_json(path: str, **fields: object) -> Asked:
    """A POST request with a JSON object."""
    return _post(path, "application/json", json.dumps(fields).encode())


def post_files(path: str, files: dict[str, bytes], **fields: str) -> Asked:
    """A POST request with a multipart form."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts += [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="clip"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n".encode()
        + content
        + b"\r\n"
        for name, content in files.items()
    ]
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    return _post(path, f"multipart/form-data; boundary={boundary}", body)


def _post(path: str, media_type: str, body: bytes) -> Asked:
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return Asked(path, head.encode() + body)


class Connection(asyncio.Protocol):
    """Sends one request at a time and reads its answer, which has to say its length."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._answer: asyncio.Future[Answered] | None = None

    @classmethod
    async def open(cls, port: int) -> Self:
        """A connection to a port of this machine."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return connection

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._transport is None or self._transport.is_closing()

    async def ask(self, asked: Asked) -> Answered:
        """Sends a request and waits for its answer.

        Raises:
            LostError: the other side hung up.
            TimeoutError: no answer came.
        """
        if self._transport is None or self.closed:
            raise LostError(begun=False)
        self._received.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(asked.data)
        async with asyncio.timeout(ANSWER_S):
            return await self._answer

    def send(self, data: bytes) -> None:
        """Sends bytes that may be no whole request, and waits for nothing."""
        if self._transport is not None:
            self._transport.write(data)

    def close(self) -> None:
        """Hangs up at once; what is not sent yet is dropped."""
        if self._transport is not None:
            self._transport.abort()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 (create_connection makes no other)
        self._transport = transport

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0 or self._answer is None or self._answer.done():
            return
        first, *lines = self._received[:end].decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = bytes(self._received[end + 4 :])
        if len(body) >= int(headers["content-length"]):
            if headers.get("connection") == "close":
                self.close()
            self._answer.set_result(Answered(int(first.split()[1]), headers, body))

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(LostError(begun=bool(self._received)))
