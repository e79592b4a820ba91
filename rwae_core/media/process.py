"""One decoding process, seen from outside: started, asked, and ended."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import CancelledError
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from rwae_core.media.errors import MediaError, MediaTimeoutError, MediaTooLargeError, UndecodableMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import Modality
from rwae_core.media.wire import OUT_OF_MEMORY, READY, Patience, receive, send

Answer = TypeVar("Answer")
Reason = Literal["died", "timed_out", "out_of_memory", "leaked", "cancelled"]
"""What a process was replaced for."""

STARTUP_S = 60.0
ENDING_S = 5.0
"""Seconds that a process whose socket has closed may take to end by itself."""
KEPT_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG")
"""What a process sees of the environment; keys are none of its business."""
LEAK_SHARE = 4
"""A process that keeps more than this part of the memory allowed to a file has leaked: the files to come need it."""
MEDIA_ERRORS = {error.__name__: error for error in MediaError.__subclasses__()}
MODALITIES: dict[str | None, Modality | None] = {"video": "video", "audio": "audio", None: None}


@dataclass(frozen=True)
class Question:
    """A file, and what is asked of it.

    Attributes:
        data: the file's bytes.
        request: what the process is told beside them.
        max_body: bytes of the largest answer.
    """

    data: bytes
    request: dict[str, Any]
    max_body: int


class LostError(Exception):
    """The process did not survive a question.

    Attributes:
        reason: what it is replaced for.
        struck: whether something outside killed it, an operator or the system's own shortage of memory. The file need
            not be to blame, and may be tried once more; of a crash it is, and would crash the next process too.
        told: what whoever asked is told, unless it asks again.
    """

    def __init__(self, reason: Reason, told: Exception, *, struck: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.told, self.struck = reason, told, struck


class DecodingProcess:
    """A process, and the socket to it. One question at a time."""

    def __init__(self, limits: MediaLimits) -> None:
        """Starts a process and returns at once; it ends with the thread that calls this.

        It is a fresh interpreter on nothing but its end of a socket: it inherits no other file, no folder, no thread,
        no secret, and gets neither the terminal's signals nor the caller's main module.

        Raises:
            OSError: the system starts none.
        """
        self._limits = limits
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        environment["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
        environment["OPENBLAS_NUM_THREADS"] = "1"  # else NumPy starts a thread per processor
        self._channel, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 (this interpreter, our module)
                    [sys.executable, "-P", "-m", "rwae_core.media.worker", json.dumps(asdict(limits))],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    cwd="/",
                    env=environment,
                    start_new_session=True,
                )
        except BaseException:
            self._channel.close()
            raise
        self._ready, self._size_when_ready = False, 0

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it has started and can decode, or could."""
        return self._ready

    @property
    def leaked(self) -> bool:
        """Whether it has kept so much memory that it had better be replaced.

        It is what it has mapped that counts, resident or not: that is what `memory_mb` bounds.
        """
        return self._mapped() - self._size_when_ready > self._limits.memory_mb * 2**20 // LEAK_SHARE

    def kill(self) -> None:
        """Ends the process; a thread that waits for its answer learns so."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Ends the process when nobody waits for it."""
        self.kill()
        self._channel.close()

    def wait_until_ready(self) -> None:
        """Waits for the process to have started, STARTUP_S at most.

        Raises:
            RuntimeError: it does not start.
        """
        self._channel.settimeout(STARTUP_S)
        with contextlib.suppress(OSError):
            if self._channel.recv(1) == READY:
                self._ready, self._size_when_ready = True, self._mapped()
                return
        self.close()
        raise RuntimeError("A decoding process does not start; its standard error says why.")

    def ask(
        self, question: Question, read: Callable[[dict[str, Any], bytearray], Answer], patience: Patience
    ) -> Answer:
        """Has the process answer; unless it does so as it should, it does not survive.

        Args:
            question: what is asked.
            read: makes the answer from its header and body, or raises ValueError, KeyError or TypeError.
            patience: how long to wait.

        Raises:
            MediaError: what the process says is wrong with the file.
            LostError: it did not survive.
        """
        stop = min(patience.deadline, time.monotonic() + self._limits.timeout_s)
        patience = Patience(stop, patience.cancelled)
        try:
            send(self._channel, question.request, question.data, patience)
            header, body = receive(self._channel, question.max_body, patience)
            answer = _error(header) if "error" in header else read(header, body)
        except TimeoutError as late:
            self.close()
            raise LostError("timed_out", _too_long()) from late
        except CancelledError as unwanted:
            self.close()
            raise LostError("cancelled", unwanted) from unwanted
        except (OSError, EOFError) as gone:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(ENDING_S)  # its sockets close before it has ended
            raise self._buried() from gone
        except (ValueError, KeyError, TypeError) as garbage:
            raise self._buried() from garbage
        except BaseException:
            self.close()
            raise
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def _buried(self) -> LostError:
        """Ends the process and tells what it died of, or was about to."""
        by_itself = not self.alive
        self.close()
        status = self._process.returncode
        if status == OUT_OF_MEMORY:
            return LostError(
                "out_of_memory",
                MediaTooLargeError(
                    "The file needs more memory to decode than is allowed: send a shorter or smaller clip."
                ),
            )
        if status == -signal.SIGXCPU:
            return LostError("timed_out", _too_long())
        told = UndecodableMediaError("The file makes the decoder fail: export the clip again, best as MP4 or WAV.")
        return LostError("died", told, struck=by_itself and status in (-signal.SIGKILL, -signal.SIGTERM))

    def _mapped(self) -> int:
        """Bytes of the process's address space; 0 where that cannot be told."""
        try:
            return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[0]) * resource.getpagesize()
        except OSError:
            return 0


def _error(header: dict[str, Any]) -> MediaError:
    """What the process says is wrong with the file."""
    error = MEDIA_ERRORS[header["error"]](header["message"])
    error.modality = MODALITIES[header["modality"]]
    return error


def _too_long() -> MediaTimeoutError:
    return MediaTimeoutError("The file takes too long to decode: send a shorter or smaller clip.")
