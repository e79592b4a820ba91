"""What a file says of its own size, read before any decoder sees it: too much is refused early, a cut file is told.

The walks jump from block to block, allocate nothing of the sizes they read, and stop at the first bound exceeded.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from rwae_core.media.errors import UndecodableMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import AnimationKind, ContainerKind, SoundKind, png_chunks

BROWSER_DELAY_S = 0.1
"""What browsers take for a frame that gives no time of its own."""
MAX_BLOCKS = 50_000
"""Outermost boxes, chunks or pages: an hour of fragments or pages of a tenth of a second. Millions, which a file of
megabytes may hold, would keep FFmpeg busy for as long as it may take."""
WAV_LENGTH_UNKNOWN = 0x7FFF_0000
"""From here on, sizes are what programs write that send a WAV before they know its length."""


def animation_delays(data: bytes, kind: AnimationKind, limits: MediaLimits) -> list[float]:
    """The seconds that each frame of a GIF, an animated WebP or an APNG is shown.

    Raises:
        UndecodableMediaError: the file is cut, contradicts itself, or has no frame.
        MediaTooLargeError: it has too many pixels or frames.
    """
    frames = {"gif": _gif_frames, "webp": _webp_frames, "apng": _apng_frames}[kind]
    delays: list[float] = []
    try:
        for delay in frames(data, limits):
            delays.append(delay)
            limits.check_frames(len(delays))
    except (IndexError, struct.error) as error:
        raise _cut_off() from error
    if not delays:
        raise UndecodableMediaError("The file holds no frame: export the clip again.")
    return delays


def check_whole(data: bytes, kind: ContainerKind | SoundKind) -> None:
    """Raises UndecodableMediaError if a file's outermost boxes, chunks or pages reach beyond it, or are too many.

    FLAC has none of them, and tells that it is cut off while it is decoded.
    """
    try:
        for count, end in enumerate(_ENDS[kind](data)):
            if end > len(data):
                raise _cut_off()
            if count > MAX_BLOCKS:
                raise UndecodableMediaError("The file is in too many pieces: export the clip again.")
    except (IndexError, struct.error) as error:
        raise _cut_off() from error


def _cut_off() -> UndecodableMediaError:
    return UndecodableMediaError("The file is cut off: send the whole of it.")


def _gif_frames(data: bytes, limits: MediaLimits) -> Iterator[float]:
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    limits.check_pixels(width, height)
    position = 13 + _colour_table(flags)
    delay = 0
    while (block := data[position]) != 0x3B:  # the trailer
        if block == 0x21:  # an extension
            if data[position + 1] == 0xF9:
                (delay,) = struct.unpack_from("<H", data, position + 4)
            position = _after_sub_blocks(data, position + 2)
        elif block == 0x2C:  # a frame, which decoders let grow the canvas
            left, top, frame_width, frame_height, flags = struct.unpack_from("<HHHHB", data, position + 1)
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            limits.check_pixels(width, height)
            position = _after_sub_blocks(data, position + 11 + _colour_table(flags))
            yield delay / 100 if delay > 1 else BROWSER_DELAY_S
            delay = 0
        else:
            raise UndecodableMediaError("The GIF is damaged: export the clip again.")


def _colour_table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _after_sub_blocks(data: bytes, position: int) -> int:
    while length := data[position]:
        position += length + 1
    return position + 1


def _webp_frames(data: bytes, limits: MediaLimits) -> Iterator[float]:
    (riff_size,) = struct.unpack_from("<I", data, 4)
    end = riff_size + 8
    if end > len(data):
        raise _cut_off()
    position = 12
    while position + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, position)
        content, position = position + 8, position + 8 + size + size % 2
        if content + size > end:
            raise _cut_off()
        if kind == b"VP8X":
            limits.check_pixels(_uint24(data, content + 4) + 1, _uint24(data, content + 7) + 1)
        elif kind == b"ANMF":
            yield _uint24(data, content + 12) / 1000 or BROWSER_DELAY_S


def _uint24(data: bytes, position: int) -> int:
    low, high = struct.unpack_from("<HB", data, position)
    return high << 16 | low


def _apng_frames(data: bytes, limits: MediaLimits) -> Iterator[float]:
    announced = seen = 0
    for kind, start, end in png_chunks(data):
        if end + 4 > len(data):
            raise _cut_off()
        if kind == b"IHDR":
            limits.check_pixels(*struct.unpack_from(">II", data, start))
        elif kind == b"acTL":
            (announced,) = struct.unpack_from(">I", data, start)
            limits.check_frames(announced)
        elif kind == b"fcTL":
            numerator, denominator = struct.unpack_from(">HH", data, start + 20)
            seen += 1
            yield numerator / (denominator or 100) or BROWSER_DELAY_S
    if seen != announced:
        raise UndecodableMediaError("The APNG does not hold the frames that it announces: export the clip again.")


def _mp4_ends(data: bytes) -> Iterator[int]:
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
        if kind not in {b"ftyp", b"moov", b"moof", b"mdat"} and position + size > len(data):
            return  # what some programs append is no box
        if size < 8:  # 0: up to the file's end
            return
        position += size
        yield position


def _webm_ends(data: bytes) -> Iterator[int]:
    position = 4
    size, position = _ebml_size(data, position)
    position += size or 0
    yield position
    if data[position : position + 4] == b"\x18\x53\x80\x67":
        size, position = _ebml_size(data, position + 4)
        yield position + (size or 0)  # a recording sent live does not know its size


def _ebml_size(data: bytes, position: int) -> tuple[int | None, int]:
    length = 9 - data[position].bit_length()
    if length > 8:
        raise UndecodableMediaError("The WebM is damaged: export the clip again.")
    value = int.from_bytes(data[position : position + length], "big") & (1 << 7 * length) - 1
    return None if value == (1 << 7 * length) - 1 else value, position + length


def _wav_ends(data: bytes) -> Iterator[int]:
    position, kind = 12, b""
    while kind != b"data" and position + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, position)
        if kind == b"data" and size >= WAV_LENGTH_UNKNOWN:
            return
        position += 8 + (size if kind == b"data" else size + size % 2)
        yield position


def _ogg_ends(data: bytes) -> Iterator[int]:
    position = 0
    while data.startswith(b"OggS", position):  # what follows the last page is none
        lengths = position + 27
        position = lengths + data[lengths - 1]
        position += sum(data[lengths:position])
        yield position


def _mp3_ends(data: bytes) -> Iterator[int]:
    """The tag's end, and the sound's as Xing's or LAME's header in the first frame tells it, which most files have."""
    first = 0
    if data.startswith(b"ID3"):
        first = 10 + (data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9])  # of seven bits each
    yield first
    header = max(data.find(name, first, first + 48) for name in (b"Xing", b"Info"))  # nearer or farther by channels
    if header >= 0:
        flags, *fields = struct.unpack_from(">3I", data, header + 4)
        yield first + (fields[flags & 1] if flags & 2 else 0)  # the number of bytes follows that of frames


_ENDS: dict[ContainerKind | SoundKind, Callable[[bytes], Iterator[int]]] = {
    "mp4": _mp4_ends,
    "webm": _webm_ends,
    "wav": _wav_ends,
    "ogg": _ogg_ends,
    "mp3": _mp3_ends,
    "flac": lambda data: iter(()),
}
