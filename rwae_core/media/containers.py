"""Files that FFmpeg reads: opened on the bytes in memory, by the demuxers named here and no other."""

from __future__ import annotations

import io
from typing import NoReturn

import av
from av.container import InputContainer

from rwae_core.media.outline import check_whole
from rwae_core.media.sniff import ContainerKind, SoundKind

DEMUXERS = {"mp4": "mp4", "webm": "matroska", "wav": "wav", "flac": "flac", "ogg": "ogg", "mp3": "mp3"}


def open_container(data: bytes, kind: ContainerKind | SoundKind) -> InputContainer:
    """Opens a file; no decoder has seen it yet.

    Raises:
        UndecodableMediaError: the file is cut off.
        av.FFmpegError: the file is damaged.
    """
    check_whole(data, kind)
    # The demuxer may open nothing else, and no decoder to look into streams: what it reads itself is enough.
    options = {"protocol_whitelist": "none", "codec_whitelist": "none"}
    if kind == "wav":
        options["probesize"] = "32"  # bytes: it would look for a codec inside the samples for longer than reading takes
    file = io.BytesIO(data)
    return av.open(file, "r", format=DEMUXERS[kind], options=options, metadata_errors="ignore", io_open=_refuse)


def _refuse(*_: object) -> NoReturn:
    raise PermissionError("a clip must not refer to other files")
