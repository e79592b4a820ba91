"""The kind of a file, told from its bytes alone: names and declared types say what the sender wants us to believe."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Literal

from rwae_core.media.errors import UndecodableMediaError, UnsupportedMediaError

ContainerKind = Literal["mp4", "webm"]
"""`mp4` is MOV too and `webm` Matroska; both hold pictures, sound, or both."""
AnimationKind = Literal["gif", "webp", "apng"]
SoundKind = Literal["wav", "flac", "ogg", "mp3"]
Kind = ContainerKind | AnimationKind | SoundKind
Modality = Literal["video", "audio"]
"""What a clip is. A film with sound is video, to whoever does not ask for its sound."""

SUPPORTED = "MP4, MOV, WebM, GIF, animated WebP or APNG for video, WAV, FLAC, OGG, MP3, MP4 or WebM for audio"
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MP4_FIRST_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_STILL_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}


def sniff(data: bytes) -> Kind:
    """The kind of a file.

    Raises:
        UndecodableMediaError: the file is empty, or too short to tell a clip from a still image.
        UnsupportedMediaError: the file is of no kind on the list, or a still image.
    """
    if not data:
        raise UndecodableMediaError("The file is empty: send a clip.")
    kind = signature(data)
    if kind is None and not data.startswith(b"\xff\xd8\xff"):  # JPEG
        raise UnsupportedMediaError(f"The file is of no supported kind: send {SUPPORTED}.")
    try:
        moves = kind is not None and _MOVES.get(kind, _always)(data)
    except (IndexError, struct.error) as error:
        raise UndecodableMediaError("The file is cut off: send the whole of it.") from error
    if kind is None or not moves:
        raise UnsupportedMediaError(f"The file is a still image: send a clip, {SUPPORTED}.")
    return kind


def signature(data: bytes) -> Kind | None:
    """The kind that a file's first bytes tell, None where they tell none; it may be damaged, or a still image."""
    return next((kind for kind, holds in _SIGNS.items() if holds(data)), None)


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Walks the chunks of a PNG up to its end: (type, start, end) of each one's content.

    Raises:
        struct.error: the file ends first.
    """
    kind, position = b"", len(PNG_SIGNATURE)
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, position)
        yield kind, position + 8, position + 8 + length
        position += length + 12


def _is_mp4(data: bytes) -> bool:
    # The first four bytes are a box's length; from 2²⁹ on they would be text.
    return data[4:8] in _MP4_FIRST_BOXES and int.from_bytes(data[:4], "big") < 2**29


def _is_mp3(data: bytes) -> bool:
    if data.startswith(b"ID3"):
        return True
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return False
    version, layer, bitrate, rate = data[1] >> 3 & 3, data[1] >> 1 & 3, data[2] >> 4, data[2] >> 2 & 3
    return version != 1 and layer == 1 and bitrate not in {0, 15} and rate != 3  # without the reserved values


_SIGNS: dict[Kind, Callable[[bytes], bool]] = {
    "mp4": _is_mp4,
    "webm": lambda data: data.startswith(b"\x1a\x45\xdf\xa3"),
    "gif": lambda data: data.startswith((b"GIF87a", b"GIF89a")),
    "webp": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WEBP",
    "apng": lambda data: data.startswith(PNG_SIGNATURE),
    "wav": lambda data: data.startswith(b"RIFF") and data[8:12] == b"WAVE",
    "flac": lambda data: data.startswith(b"fLaC"),
    "ogg": lambda data: data.startswith(b"OggS"),
    "mp3": _is_mp3,
}


def _always(data: bytes) -> bool:
    return True


def _apng_moves(data: bytes) -> bool:
    decisive = (kind for kind, _, _ in png_chunks(data) if kind in {b"acTL", b"IDAT", b"IEND"})
    return next(decisive) == b"acTL"


def _webp_moves(data: bytes) -> bool:
    return data[12:16] == b"VP8X" and bool(data[20] & 2)


def _mp4_moves(data: bytes) -> bool:
    return not (data[4:8] == b"ftyp" and data[8:12] in _STILL_BRANDS)


_MOVES: dict[Kind, Callable[[bytes], bool]] = {"apng": _apng_moves, "webp": _webp_moves, "mp4": _mp4_moves}
