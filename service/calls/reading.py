"""The uploads of a request: decoded side by side, and the model that reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from fastapi import Request, UploadFile

from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.errors import MediaError, MediaModalityError
from rwae_core.media.fit import Fit
from rwae_core.media.sniff import Modality
from rwae_core.media.wanted import Pictures, Sound, Wanted
from service.answers import stage
from service.calls.asking import engine_of
from service.edge.context import Context
from service.errors import FieldError
from service.library import Model
from service.media import MediaRooms
from service.verbs.audio import spectrum_of

Clip = TypeVar("Clip", VideoClip, AudioClip)


class Reading(Generic[Clip]):
    """What reading an upload came to: its clip, or its fault, which is raised when it is its turn to be told."""

    def __init__(self, outcome: Clip | BaseException) -> None:
        self._outcome: Clip | BaseException = outcome

    @property
    def clip(self) -> Clip:
        """The clip; raises the fault where there is one."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        return self._outcome

    @property
    def fault(self) -> BaseException | None:
        """What went wrong."""
        return self._outcome if isinstance(self._outcome, BaseException) else None

    @property
    def modality(self) -> Modality | None:
        """What the upload is; None where it failed before that was told."""
        if not isinstance(self._outcome, BaseException):
            return self._outcome.modality
        cause = self._outcome.cause if isinstance(self._outcome, FieldError) else None
        return cause.modality if isinstance(cause, MediaError) else None


async def read(request: Request, name: str | None, fit: Fit, **uploads: UploadFile) -> tuple[Model, list[Reading[Any]]]:
    """The model that reads these uploads, the one named or else the default one of what they are, and what they hold.

    Each upload is one message to one decoding process, which finds out what it is and fits it to that model.

    Raises:
        UnknownModelError, NoModelError: there is no such model, or none at all.
        FieldError, QueueFullError: no model is named, and the uploads are not of one modality, or of one that no model
            reads, or one of them failed before it was told what it is.
    """
    library = engine_of(request).library
    library.check_any()
    named = library.find(name) if name else None
    models = {named.modality: named} if named else {each: library.find(None, each) for each in library.defaults}
    wanted = _wanted(models, None if named is None else named.modality, fit)
    media: MediaRooms = request.app.state.media
    context: Context = request.state.context
    with stage(request, "decode"):
        tasks = (media.read(field, upload, wanted, context.deadline) for field, upload in uploads.items())
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    readings: list[Reading[Any]] = [Reading(outcome) for outcome in outcomes]
    return named or _default(models, dict(zip(uploads, readings, strict=True))), readings


def _wanted(models: Mapping[Modality, Model], read_as: Modality | None, fit: Fit) -> Wanted:
    """What the model of each modality reads."""
    video, audio = models.get("video"), models.get("audio")
    return Wanted(
        None if video is None else Pictures(video.config.size, video.config.channels, fit),
        None if audio is None else Sound(spectrum_of(audio.config).sample_rate),
        read_as,
    )


def _default(models: Mapping[Modality, Model], readings: Mapping[str, Reading[Any]]) -> Model:
    """The model of what the uploads are."""
    found: Modality | None = None
    for field, reading in readings.items():
        if reading.modality is None:
            continue
        if reading.modality not in models:
            raise FieldError(field, f"{field}: {_UNREAD[reading.modality]}", MediaModalityError())
        if found is not None and reading.modality != found:
            raise FieldError(field, f"{field}: {_OTHER[reading.modality]}", MediaModalityError())
        found = reading.modality
    if found is None or None in [each.modality for each in readings.values()]:
        raise next(each.fault for each in readings.values() if each.fault is not None)
    return models[found]


_UNREAD: Mapping[Modality, str] = {
    "video": "The file is video, and no video model is served: send sound alone, or name the model that is to read "
    "the film's sound.",
    "audio": "The file is sound, and no audio model is served: send a video clip.",
}
_OTHER: Mapping[Modality, str] = {
    "video": "This file is video and the one before is sound: send two clips of one kind, or name the model that is "
    "to read the sound of both.",
    "audio": "This file is sound and the one before is video: send two clips of one kind, or name the model that is "
    "to read the sound of both.",
}
