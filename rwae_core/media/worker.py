"""A decoding process: it reads files from its standard input, a socket, answers there, and can do nothing else.

`MediaPool` starts it. It can open no file and no socket, write no file, and has bounded memory and processor time.
It ends when the other side closes the socket, so it does not outlive the pool.
"""

from __future__ import annotations

import gc
import json
import math
import os
import resource
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import av.audio.stream  # these four would else be imported when a file first needs them: too late
import av.subtitles.stream  # noqa: F401
from PIL import Image, ImageColor, ImagePalette  # noqa: F401

from rwae_core.media.decode import decode_audio, decode_video, modality
from rwae_core.media.errors import MediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.wire import OUT_OF_MEMORY, READY, receive, send


def main() -> None:
    """Decodes until the pool is gone."""
    limits = MediaLimits(**json.loads(sys.argv[1]))
    channel = socket.socket(fileno=0)
    confine(limits)
    try:
        channel.sendall(READY)
        gc.freeze()  # what is here stays, and needs no collecting
        while True:
            serve(channel, limits)
            gc.collect()  # PyAV's containers and streams refer to each other, and would add up
    except (EOFError, ConnectionError):
        return
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # a process that ran short of memory had better begin anew


def serve(channel: socket.socket, limits: MediaLimits) -> None:
    """Answers one request."""
    request, data = receive(channel, limits.max_bytes, deadline=None)
    allow_processor_time(limits.timeout_s)
    try:
        header, body = decode(bytes(data), limits, **request)
    except MediaError as error:
        header, body = {"error": type(error).__name__, "message": str(error)}, memoryview(b"")
    send(channel, header, body, deadline=None)


def decode(data: bytes, limits: MediaLimits, *, wanted: str, **request: Any) -> tuple[dict[str, Any], memoryview]:
    """A clip as it goes over the wire: what its header says, and its frames or samples."""
    if wanted == "modality":
        return {"modality": modality(data, limits)}, memoryview(b"")
    if wanted == "audio":
        return {}, decode_audio(data, limits=limits, **request).samples.data.cast("B")
    clip = decode_video(data, limits=limits, **request)
    return {"fps": clip.fps}, clip.frames.data.cast("B")


def confine(limits: MediaLimits) -> None:
    """Gives up, for good, what decoding does not need; from here on nothing can be imported."""
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = limits.max_pixels  # ours come first; Pillow's are checked in more places
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    if sys.platform == "linux":
        # What is mapped before the first file came, mostly code, is not the file's.
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        lower(resource.RLIMIT_AS, mapped + limits.memory_mb * 2**20)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_NOFILE, 0)  # what is open stays open


def lower(bound: int, value: int) -> None:
    """Lowers a bound of the process for good."""
    hard = resource.getrlimit(bound)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(bound, (value, value))


def allow_processor_time(seconds: float) -> None:
    """Lets the system kill the process when it computes so much longer, in case nobody is left to do so."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


if __name__ == "__main__":
    main()
