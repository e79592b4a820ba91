"""Messages between the pool and its workers: a JSON header and a body of bytes, so that no side runs what it reads."""

from __future__ import annotations

import json
import math
import socket
import struct
import threading
import time
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any

_LENGTHS = struct.Struct(">IQ")
_MAX_HEADER_BYTES = 4096
READY = b"\0"
"""The one byte that a worker sends once it can decode."""
OUT_OF_MEMORY = 77
"""A worker's exit status."""
LOOK_S = 0.1
"""Seconds after which who waits looks whether anybody still wants what it waits for. Most files take a few
milliseconds: the worker of one that nobody wants any more ends with it, and need not be replaced."""


@dataclass(frozen=True)
class Patience:
    """How long one waits: until `deadline` (of `time.monotonic`), or until `cancelled` is set."""

    deadline: float = math.inf
    cancelled: threading.Event | None = None

    def next_wait(self) -> float:
        """Seconds to wait before looking again.

        Raises:
            TimeoutError: the deadline has passed.
        """
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return min(left, LOOK_S)

    def check_wanted(self) -> None:
        """Raises CancelledError if nobody waits for the outcome."""
        if self.cancelled is not None and self.cancelled.is_set():
            raise CancelledError


def send(
    channel: socket.socket, header: dict[str, Any], body: bytes | memoryview, patience: Patience | None = None
) -> None:
    """Sends a message; without `patience`, however long the other side takes.

    Raises:
        TimeoutError: the other side did not take it by the deadline.
        CancelledError: nobody wants it any more.
        OSError: the other side is gone.
    """
    encoded = json.dumps(header).encode()
    for content in (_LENGTHS.pack(len(encoded), len(body)) + encoded, body):
        view = memoryview(content)
        while view:
            if patience is not None:
                channel.settimeout(patience.next_wait())
            try:
                view = view[channel.send(view) :]
            except TimeoutError:
                _look(patience)


def receive(
    channel: socket.socket, max_body: int, patience: Patience | None = None
) -> tuple[dict[str, Any], bytearray]:
    """Receives a message; without `patience`, however long it takes to come.

    Raises:
        TimeoutError: it did not come by the deadline.
        CancelledError: nobody wants it any more.
        EOFError: the other side is gone.
        ValueError: it is longer than allowed or no message.
    """
    header_length, body_length = _LENGTHS.unpack(_read(channel, _LENGTHS.size, patience))
    if header_length > _MAX_HEADER_BYTES or body_length > max_body:
        raise ValueError("the message is too long")
    header = json.loads(_read(channel, header_length, patience))
    if not isinstance(header, dict):
        raise ValueError("the message has no header")
    return header, _read(channel, body_length, patience)


def _read(channel: socket.socket, length: int, patience: Patience | None) -> bytearray:
    content = bytearray(length)
    view = memoryview(content)
    while view:
        if patience is not None:
            channel.settimeout(patience.next_wait())
        try:
            count = channel.recv_into(view)
        except TimeoutError:
            _look(patience)
            continue
        except ConnectionError as error:
            raise EOFError from error
        if not count:
            raise EOFError
        view = view[count:]
    return content


def _look(patience: Patience | None) -> None:
    if patience is not None:
        patience.check_wanted()
