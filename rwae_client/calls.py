"""The service's calls: of each, the request that is sent and how its answer is read.

Nothing is sent here, so that clients that wait and clients that are awaited share all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Generic, Literal, TypeVar

import httpx

from rwae_client import results
from rwae_client.results import Clip, Codes, Encoding, Items, Model, Numbers, Swaps

Result = TypeVar("Result")
Source = str | Path | bytes | BinaryIO
"""A clip: where its file lies, its bytes, or an open file."""
Fit = Literal["crop", "pad", "stretch"]
Format = Literal["mp4", "webm", "gif", "webp", "apng", "png", "wav", "flac", "ogg"]


@dataclass(frozen=True)
class Call(Generic[Result]):
    """A request, and what makes a result of its answer."""

    method: str
    path: str
    read: Callable[[httpx.Response], Result]
    json: Mapping[str, Any] | None = None
    form: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] | None = None


def models() -> Call[list[Model]]:
    """The models that are served.

    Raises:
        ServiceError: as every call: nobody answers, not in time, or with an error (`ProblemError`).
    """
    return Call("GET", "/models", lambda answer: [results.model(told) for told in answer.json()["models"]])


def encode(
    clip: Source, *, model: str | None = None, sample: bool = False, seed: int | None = None, fit: Fit | None = None
) -> Call[Encoding]:
    """The codes of a clip.

    Args:
        clip: The clip.
        model: Which model is to read it; the default one of what the clip is, where absent.
        sample: Draws the codes from the posteriors, instead of giving their means.
        seed: Decides the draw.
        fit: How frames become square: `crop` (default), `pad` or `stretch`.

    Raises:
        OSError: the file cannot be read.
    """
    return Call(
        "POST",
        "/encode",
        lambda answer: results.read(Encoding, answer.json()),
        form=_given(model=model, sample=sample or None, seed=seed, fit=fit),
        files={"file": _bytes(clip)},
    )


def decode(
    codes: Codes,
    *,
    model: str | None = None,
    format: Format | None = None,  # noqa: A002  as the service calls it
    fps: float | None = None,
    scale: int | None = None,
) -> Call[Clip]:
    """The clip of codes.

    Args:
        codes: Codes, such as `encode` gives.
        model: Whose codes these are; of an `Encoding`, its model.
        format: `mp4` (default), `webm`, `gif`, `webp`, `apng` or `png`; of sound `wav` (default), `flac` or `ogg`.
        fps: Frames a second; the model's own where absent.
        scale: Enlarges by whole pixels, 1 to 16.
    """
    if model is None and isinstance(codes, Encoding):
        model = codes.model
    told = {name: asdict(codes)[name] for name in ("z_c", "z_m", "action")}
    return Call("POST", "/decode", _clip, json=_given(model=model, **told, format=format, fps=fps, scale=scale))


def swap(
    content: Source,
    motion: Source,
    *,
    model: str | None = None,
    fit: Fit | None = None,
    format: Format | None = None,  # noqa: A002
    fps: float | None = None,
    scale: int | None = None,
) -> Call[Clip]:
    """What one clip shows, doing what happens in another; one voice saying the other's words.

    Args:
        content: The clip whose z^c is kept.
        motion: The clip whose z^m is kept; the answer is as long as it.
        model: As for `encode`.
        fit: As for `encode`.
        format: As for `decode`.
        fps: Frames a second; motion's own where absent.
        scale: As for `decode`.

    Raises:
        OSError: a file cannot be read.
    """
    form = _given(model=model, fit=fit, format=format, fps=fps, scale=scale)
    return Call("POST", "/swap", _clip, form=form, files={"content": _bytes(content), "motion": _bytes(motion)})


def swap_both(
    content: Source,
    motion: Source,
    *,
    model: str | None = None,
    fit: Fit | None = None,
    fps: float | None = None,
    scale: int | None = None,
) -> Call[Swaps]:
    """Both directions of a swap at once, as MP4 or WAV; the arguments are those of `swap`."""
    form = _given(model=model, fit=fit, format="json", fps=fps, scale=scale)

    def read(answer: httpx.Response) -> Swaps:
        told = answer.json()
        return Swaps(*(results.embedded(each, model=told["model"]) for each in told["swaps"]))

    return Call("POST", "/swap", read, form=form, files={"content": _bytes(content), "motion": _bytes(motion)})


def generate(
    *,
    n: int = 1,
    frames: int | None = None,
    seed: int | None = None,
    temperature: float | None = None,
    z_c: Numbers | None = None,
    z_m: list[Numbers] | None = None,
    action: int | None = None,
    model: str | None = None,
    format: Format | None = None,  # noqa: A002
    fps: float | None = None,
    scale: int | None = None,
) -> Call[Clip]:
    """A new clip; n of them as one video, in a grid.

    Args:
        n: How many.
        frames: T; the model's own where absent.
        seed: Decides the draws; drawn where absent, and told in the result.
        temperature: Scales the standard deviations of the priors.
        z_c: Content to keep.
        z_m: Motion to keep; where it is shorter than `frames`, the prior continues it.
        action: Index of the action, of models that have any.
        model: The default video model where absent.
        format: As for `decode`.
        fps: As for `decode`.
        scale: As for `decode`.
    """
    return Call(
        "POST",
        "/generate",
        _clip,
        json=_given(
            n=n, frames=frames, seed=seed, temperature=temperature, z_c=z_c, z_m=z_m, action=action, model=model,
            format=format, fps=fps, scale=scale,
        ),
    )  # fmt: skip


def generate_each(
    *,
    n: int = 1,
    frames: int | None = None,
    seed: int | None = None,
    temperature: float | None = None,
    z_c: Numbers | None = None,
    z_m: list[Numbers] | None = None,
    action: int | None = None,
    model: str | None = None,
    fps: float | None = None,
    scale: int | None = None,
) -> Call[Items]:
    """New clips, each as an MP4 or WAV of its own with its codes; the arguments are those of `generate`."""

    def read(answer: httpx.Response) -> Items:
        told = answer.json()
        name, drawn = told["model"], told["seed"]
        return Items(name, drawn, [results.embedded(each, model=name, seed=drawn) for each in told["items"]])

    asked = generate(
        n=n, frames=frames, seed=seed, temperature=temperature, z_c=z_c, z_m=z_m, action=action, model=model, fps=fps,
        scale=scale,
    )  # fmt: skip
    return Call("POST", "/generate", read, json={**(asked.json or {}), "format": "json"})


def _clip(answer: httpx.Response) -> Clip:
    seed = answer.headers.get("X-Seed")
    return Clip(
        answer.content,
        answer.headers.get("Content-Type", ""),
        answer.headers.get("X-Model", ""),
        None if seed is None else int(seed),
    )


def _given(**fields: object) -> dict[str, Any]:
    """The fields that were given; the service knows the defaults."""
    return {name: value for name, value in fields.items() if value is not None}


def _bytes(source: Source) -> bytes:
    """All of a clip, for it may have to be sent again."""
    if isinstance(source, bytes):
        return source
    if isinstance(source, str | Path):
        return Path(source).read_bytes()
    return source.read()
