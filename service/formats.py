"""Which form an answer takes: `format` where it is given, else what `Accept` prefers."""

from __future__ import annotations

from typing import Literal

from rwae_core.media import encode
from service.schemas import Format

DEFAULT: Format = "mp4"
EMBEDDED: Literal["mp4"] = "mp4"
"""Form of the media inside JSON."""
MEDIA_TYPES: dict[Format, str] = dict([*encode.MEDIA_TYPES.items(), ("json", "application/json")])


def choose(asked: Format | None, accept: str) -> Format:
    """The form of an answer; MP4 where nothing that is accepted can be made."""
    if asked is not None:
        return asked
    wishes: list[tuple[float, str]] = []
    refused: set[str] = set()
    for part in accept.lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        quality = _quality(parameters)
        if quality > 0:
            wishes.append((quality, media_range))
        else:
            refused.add(media_range)
    wishes.sort(key=lambda wish: (-wish[0], wish[1].count("*")))  # of equals, what is named before what is not
    for _, media_range in wishes:
        start = media_range.removesuffix("*").removesuffix("*/")
        for form, media_type in MEDIA_TYPES.items():
            fits = media_type.startswith(start) if media_range.endswith("*") else media_type == media_range
            if fits and media_type not in refused:
                return form
    return DEFAULT


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
