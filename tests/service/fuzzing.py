"""Mutants of real clips, and what every answer of the service must be, whatever it is sent."""

from __future__ import annotations

import random
import re
import struct
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
from serving import ROOT, moving
from sounds import babble, file_of, sound_in

from rwae_core.media.encode import VideoFormat, encode_audio, encode_video
from service import schemas

PROBLEM = "application/problem+json"
LEAKS = re.compile(
    "|".join(
        (
            *("Traceback", 'File "', r"\.py\b", "site-packages", "av_", "libav", "0x[0-9a-f]{6}"),
            *("/tmp/", "/proc/", "/usr/", "/home/", "/root/", re.escape(str(ROOT))),  # noqa: S108 (none is used)
        )
    )
)
"""What no answer in words may hold: paths, code, and what libraries say."""
BASE64 = re.compile(r'"data":\s?"[A-Za-z0-9+/=]*"')
TAGS = (
    *(b"ftyp", b"moov", b"mvhd", b"tkhd", b"mdhd", b"stsd", b"stts", b"stsc", b"stsz", b"stco", b"ctts", b"elst"),
    *(b"avcC", b"avc1", b"mp4a", b"esds", b"mdat", b"VP8X", b"ANIM", b"ANMF", b"VP8L", b"IHDR", b"acTL", b"fcTL"),
    *(b"fdAT", b"IDAT", b"fmt ", b"data", b"OggS", b"vorbis", b"OpusHead", b"fLaC", b"Xing", b"Info", b"LAME", b"ID3"),
    *(b"\x16\x54\xae\x6b", b"\x1f\x43\xb6\x75", b"\x15\x49\xa9\x66", b"\x21\xf9\x04", b"\x2c\x00", b"\x9d\x01\x2a"),
)
"""After which sizes, dimensions, durations and rates stand in the files below."""
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 2**63 - 1, 2**64 - 1)


def seeds() -> dict[str, bytes]:
    """A small clip of every kind that is read, by the encoders of the project where they make that kind."""
    frames, sound = moving(1, frames=6), babble(1, 0.4)
    forms: tuple[VideoFormat, ...] = ("mp4", "webm", "gif", "webp", "apng")
    return {
        **{form: encode_video(frames, 8, form) for form in forms},
        "wav": encode_audio(sound[:, 0], 16_000, "wav"),
        "flac": encode_audio(sound[:, 0], 16_000, "flac"),
        "ogg": encode_audio(sound[:, 0], 16_000, "ogg"),
        "mp3": file_of(sound, "MP3"),
        "webm-opus": sound_in("webm", "libopus", 1, 0.4),
        "ogg-opus": sound_in("ogg", "libopus", 1, 0.4),
        "mp4-aac": sound_in("mp4", "aac", 1, 0.4),
        "mp4-film": sound_in("mp4", "aac", 1, 0.4, pictures=4),
        "mov": sound_in("mov", "aac", 1, 0.4, pictures=4),
    }


@dataclass(frozen=True)
class Mutant:
    """A file made from its number alone.

    Attributes:
        number: what it was made from.
        kind: the clip that it was.
        story: what was done to that, in order.
        data: the file's bytes.
    """

    number: int
    kind: str
    story: str
    data: bytes

    def saved(self) -> Path:
        """Writes the file where a person can look at it."""
        path = Path(tempfile.gettempdir()) / f"rwae-mutant-{self.number}"
        path.write_bytes(self.data)
        return path


def mutant(number: int, clips: dict[str, bytes]) -> Mutant:
    """The mutant of that number: one to three mutations of one of the clips."""
    rng = random.Random(number)  # noqa: S311
    kind = sorted(clips)[number % len(clips)]
    data = bytearray(clips[kind])
    story: list[str] = []
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        mutate = rng.choice(MUTATIONS)
        data = mutate(rng, data, [clips[name] for name in sorted(clips)])
        story.append(mutate.__name__.strip("_"))
    return Mutant(number, kind, " ".join(story), bytes(data))


def _flip_bits(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    for _ in range(rng.choice((1, 4, 32))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def _truncate(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    return data[: rng.randrange(len(data) + 1)]


def _repeat(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    start, end = _span(rng, data)
    return data[:end] + data[start:end] * rng.choice((1, 2, 50)) + data[end:]


def _remove(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    start, end = _span(rng, data)
    return data[:start] + data[end:]


def _reorder(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    first, second = sorted((_place(rng, data), _place(rng, data)))
    third = rng.randrange(second, len(data) + 1)
    return data[:first] + data[second:third] + data[first:second] + data[third:]


def _blow_up(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    """Puts extreme numbers into fields near the beginning of the file or of its parts."""
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(min(len(data), 80) + 1) if rng.random() < 0.3 else _place(rng, data) + rng.randrange(48)
        form = rng.choice(("B", ">H", "<H", ">I", "<I", ">Q", "<Q"))
        size = struct.calcsize(form)
        if place + size <= len(data):
            struct.pack_into(form, data, place, rng.choice(EXTREMES) % 2 ** (8 * size))
    return data


def _rewrite(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    start, end = _span(rng, data)
    data[start:end] = rng.choice((bytes(end - start), b"\xff" * (end - start), rng.randbytes(end - start)))
    return data


def _splice(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    donor = bytearray(rng.choice(clips))
    start, end = _span(rng, donor)
    place = _place(rng, data)
    return data[:place] + donor[start:end] + data[place + rng.choice((0, end - start)) :]


def _join(rng: random.Random, data: bytearray, clips: Sequence[bytes]) -> bytearray:
    other = bytearray(rng.choice(clips))
    return data + other if rng.random() < 0.5 else other + data


MUTATIONS: tuple[Callable[[random.Random, bytearray, Sequence[bytes]], bytearray], ...] = (
    *(_flip_bits, _truncate, _repeat, _remove, _reorder, _blow_up, _blow_up, _rewrite, _splice, _join),
)


def _place(rng: random.Random, data: bytearray) -> int:
    """A place in the file, as often as not where one of its parts begins."""
    tags = [place for tag in TAGS if (place := data.find(tag)) >= 0]
    return rng.choice(tags) if tags and rng.random() < 0.5 else rng.randrange(len(data) + 1)


def _span(rng: random.Random, data: bytearray) -> tuple[int, int]:
    start = _place(rng, data)
    return start, min(len(data), start + rng.choice((1, 8, 64, rng.randrange(len(data) + 1))))


def assert_documented(response: httpx.Response, statuses: frozenset[int]) -> None:
    """One of the statuses; every error a problem of RFC 9457; nothing of this machine in any of it."""
    assert response.status_code in statuses, f"{response.status_code} {response.text[:500]}"
    if response.status_code != 200:
        assert response.headers["content-type"] == PROBLEM
        said = response.json()
        schemas.Problem.model_validate(said)
        assert said["status"] == response.status_code
        assert said["detail"]
    if response.status_code in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
    told = [*response.headers.values()]
    if response.headers["content-type"].startswith(("application/", "text/")):
        told.append(BASE64.sub("", response.text))
    for text in told:
        found = LEAKS.search(text)
        assert found is None, text[:500]
