"""Messages between the pool and its workers: a JSON header and a body of bytes, so that no side runs what it reads."""

from __future__ import annotations

import json
import socket
import struct
import time
from typing import Any

_LENGTHS = struct.Struct(">IQ")
_MAX_HEADER_BYTES = 4096
READY = b"\0"
"""The one byte that a worker sends once it can decode."""
OUT_OF_MEMORY = 77
"""A worker's exit status."""


def send(channel: socket.socket, header: dict[str, Any], body: bytes | memoryview, deadline: float | None) -> None:
    """Sends a message.

    Raises:
        TimeoutError: the other side did not take it by `deadline` (of `time.monotonic`; None waits).
        OSError: the other side is gone.
    """
    encoded = json.dumps(header).encode()
    channel.settimeout(_left(deadline))
    channel.sendall(_LENGTHS.pack(len(encoded), len(body)) + encoded)
    channel.settimeout(_left(deadline))
    channel.sendall(body)


def receive(channel: socket.socket, max_body: int, deadline: float | None) -> tuple[dict[str, Any], bytearray]:
    """Receives a message.

    Raises:
        TimeoutError: it did not come by `deadline`.
        EOFError: the other side is gone.
        ValueError: it is longer than allowed or no message.
    """
    header_length, body_length = _LENGTHS.unpack(_read(channel, _LENGTHS.size, deadline))
    if header_length > _MAX_HEADER_BYTES or body_length > max_body:
        raise ValueError("the message is too long")
    header = json.loads(_read(channel, header_length, deadline))
    if not isinstance(header, dict):
        raise ValueError("the message has no header")
    return header, _read(channel, body_length, deadline)


def _read(channel: socket.socket, length: int, deadline: float | None) -> bytearray:
    content = bytearray(length)
    view = memoryview(content)
    while view:
        channel.settimeout(_left(deadline))
        try:
            count = channel.recv_into(view)
        except ConnectionError as error:
            raise EOFError from error
        if not count:
            raise EOFError
        view = view[count:]
    return content


def _left(deadline: float | None) -> float | None:
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
