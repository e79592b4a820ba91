"""A decoding process: it reads files from its standard input, a socket, answers there, and can do nothing else.

`MediaPool` starts it, and it ends with the thread that did, or when the other side closes the socket: it does not
outlive the pool, even one that is killed. What it may not do is in `confine`.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
from typing import Any

import av.audio.stream  # these four would else be imported when a file first needs them: too late
import av.subtitles.stream  # noqa: F401
from PIL import ImageColor, ImagePalette  # noqa: F401

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.confine import allow_processor_time, confine, die_with_parent
from rwae_core.media.decode import decode
from rwae_core.media.errors import MediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.wanted import Wanted
from rwae_core.media.wire import OUT_OF_MEMORY, READY, receive, send


def main() -> None:
    """Decodes until the pool is gone."""
    die_with_parent()
    limits = MediaLimits(**json.loads(sys.argv[1]))
    channel = socket.socket(fileno=0)
    confine(limits)
    try:
        channel.sendall(READY)
        gc.freeze()  # what is here stays, and needs no collecting
        while True:
            serve(channel, limits)
    except (EOFError, ConnectionError):
        return
    except MemoryError:
        os._exit(OUT_OF_MEMORY)  # a process that ran short of memory had better begin anew


def serve(channel: socket.socket, limits: MediaLimits) -> None:
    """Answers one request."""
    request, data = receive(channel, limits.max_bytes)
    allow_processor_time(limits.timeout_s)
    try:
        header, body = _packed(decode(bytes(data), Wanted.of(request), limits))
    except MediaError as error:
        header = {"modality": error.modality, "error": type(error).__name__, "message": str(error)}
        body = memoryview(b"")
    # PyAV's containers and streams refer to each other, and would add up. They go before the answer, on which the pool
    # looks how much memory is kept.
    gc.collect()
    send(channel, header, body)


def _packed(clip: VideoClip | AudioClip) -> tuple[dict[str, Any], memoryview]:
    """A clip as it goes over the wire: what its header says, and its frames or samples."""
    if isinstance(clip, AudioClip):
        return {"modality": clip.modality}, clip.samples.data.cast("B")
    return {"modality": clip.modality, "fps": clip.fps}, clip.frames.data.cast("B")


if __name__ == "__main__":
    main()
