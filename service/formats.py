"""Which form an answer takes: `format` where it is given, else what `Accept` prefers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from rwae_core.media import encode
from rwae_core.media.encode import AudioFormat, VideoFormat
from rwae_core.media.sniff import Modality
from service.errors import FieldError
from service.schemas import Format

Form = TypeVar("Form", VideoFormat, AudioFormat)
Json = Literal["json"]
JSON: Json = "json"
JSON_TYPE = "application/json"


@dataclass(frozen=True)
class Forms(Generic[Form]):
    """The forms that answers of a modality can take.

    Attributes:
        modality: What they hold.
        default: The form where nothing is asked for, and of the media inside JSON.
        media_types: Of each form, JSON the last.
    """

    modality: Modality
    default: Form
    media_types: Mapping[Form | Json, str]

    def choose(self, asked: Format | None, accept: str) -> Form | Json:
        """The form of an answer; the default where nothing that is accepted can be made.

        Raises:
            FieldError: a form is asked for that this modality does not have.
        """
        if asked is not None:
            for form in self.media_types:
                if form == asked:
                    return form
            raise FieldError(
                "format", f"format: This model makes {self.modality}: ask for {', '.join(self.media_types)}."
            )
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
            for form, media_type in self.media_types.items():
                fits = media_type.startswith(start) if media_range.endswith("*") else media_type == media_range
                if fits and media_type not in refused:
                    return form
        return self.default


VIDEO: Forms[VideoFormat] = Forms("video", "mp4", dict([*encode.MEDIA_TYPES.items(), (JSON, JSON_TYPE)]))
AUDIO: Forms[AudioFormat] = Forms("audio", "wav", dict([*encode.AUDIO_MEDIA_TYPES.items(), (JSON, JSON_TYPE)]))
MEDIA_TYPES: dict[Format, str] = dict([*VIDEO.media_types.items(), *AUDIO.media_types.items()])


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
