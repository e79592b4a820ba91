"""The calls: each validates, asks the engine once, and says what it answered.

A clip's way: route → `MediaRooms.read` → engine → `answers.reply`.
"""

from __future__ import annotations

import asyncio
import math
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Form, Request, Response, Security
from fastapi.responses import FileResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from rwae_core.media.clip import VideoClip
from rwae_core.media.encode import encode_video, grid
from service import errors, formats, openapi
from service.answers import embedded, item, numbers, reply, stage
from service.engine import Engine
from service.errors import FieldError, NotReadyError
from service.library import Model
from service.media import MediaRooms
from service.middleware import Context
from service.schemas import (
    ClipShape,
    DecodeRequest,
    EncodeForm,
    Encoding,
    Format,
    GenerateRequest,
    Items,
    ModelInfo,
    Models,
    Status,
    SwapForm,
    Swapped,
    Swaps,
)
from service.settings import Settings
from service.verbs import Answer, Codes, Decode, Encode, Generate, Numbers, Swap, Work

PAGE = Path(__file__).parent / "static" / "index.html"
ANSWER_FRAMES = 16
"""A whole answer may have as many pixels as this many of the largest frames."""
LARGEST_DRAWN_SEED = 2**53
"""JavaScript reads larger numbers wrongly."""

Multipart = Form(media_type="multipart/form-data")
keys = [Security(HTTPBearer(auto_error=False)), Security(APIKeyHeader(name="X-API-Key", auto_error=False))]
calls = APIRouter(dependencies=keys)  # `Keys` checks them; this describes them in OpenAPI
probes = APIRouter()

READS = (400, 401, 404, 413, 415, 422, 429, 503, 504)
MAKES = (401, 404, 413, 422, 429, 503, 504)


@calls.get("/models", responses=errors.documented(401, 503))
async def models(request: Request) -> Models:
    """What can be asked: every model that is served, its shapes and its measured figures."""
    library = _engine(request).library
    return Models(models=[_info(model, model.id == library.default) for model in library.models.values()])


@calls.post("/encode", responses={200: openapi.json_answer(Encoding, seed=True), **errors.documented(*READS)})
async def encode(request: Request, form: Annotated[EncodeForm, Multipart]) -> Response:
    """Codes of a clip: one for what it shows, one for each frame for what happens."""
    model = _model(request, form.model)
    seed = _seed(form.seed) if form.sample else None
    with stage(request, "decode"):
        clip = await _read(request, "file", form, model)
    encoded = await _ask(request, model, Encode(clip.frames, seed))

    def render() -> str:
        return Encoding(
            model=model.id,
            modality="video",
            frames=len(clip.frames),
            fps=clip.fps,
            psnr_db=encoded.psnr_db,
            seed=seed,
            **numbers(encoded.codes),
        ).model_dump_json()

    return await reply(request, model, render, form="json", seed=seed)


@calls.post("/decode", responses={200: openapi.media_answer(Items), **errors.documented(*MAKES)})
async def decode(request: Request, body: DecodeRequest) -> Response:
    """The clip of codes, such as `/encode` gives them."""
    model = _model(request, body.model)
    codes = Codes(_content(model, body.z_c), _motion(model, body.z_m), _action_weights(model, body.action))
    form, fps = _form(request, body.format), body.fps or model.config.fps
    _check_frames(request, "z_m", 1, len(codes.z_m))
    _check_pixels(request, model, frames=len(codes.z_m), scale=body.scale, form=form)
    frames = await _ask(request, model, Decode(codes))

    def render() -> bytes | str:
        if form == "json":
            only = item(frames, codes, fps, body.scale)
            return Items(model=model.id, seed=None, items=[only]).model_dump_json()
        return encode_video(frames, fps, form, body.scale)

    return await reply(request, model, render, form=form)


@calls.post("/swap", responses={200: openapi.media_answer(Swaps), **errors.documented(*READS)})
async def swap(request: Request, form: Annotated[SwapForm, Multipart]) -> Response:
    """What one clip shows, doing what happens in the other. In JSON both directions."""
    model, output = _model(request, form.model), _form(request, form.format)
    with stage(request, "decode"):
        content, motion = await _both(_read(request, "content", form, model), _read(request, "motion", form, model))
    both = output == "json"
    longest = max(len(content.frames), len(motion.frames)) if both else len(motion.frames)
    _check_pixels(request, model, frames=longest, scale=form.scale, form=output)
    swaps = await _ask(request, model, Swap(content.frames, motion.frames, both))

    def render() -> bytes | str:
        if output == "json":
            there = embedded(swaps[0], form.fps or motion.fps, form.scale)
            back = embedded(swaps[1], form.fps or content.fps, form.scale)
            directions = [
                Swapped(content="content", motion="motion", **there),
                Swapped(content="motion", motion="content", **back),
            ]
            return Swaps(model=model.id, swaps=directions).model_dump_json()
        return encode_video(swaps[0], form.fps or motion.fps, output, form.scale)

    return await reply(request, model, render, form=output)


@calls.post("/generate", responses={200: openapi.media_answer(Items, seed=True), **errors.documented(*MAKES)})
async def generate(request: Request, body: GenerateRequest) -> Response:
    """New clips. Content, motion or the beginning of the motion may be fixed; the rest is drawn."""
    model, seed = _model(request, body.model), _seed(body.seed)
    action = None if body.action is None else _action_index(model, body.action)
    z_c = None if body.z_c is None else _content(model, body.z_c)
    z_m = None if body.z_m is None else _motion(model, body.z_m)
    given = 0 if z_m is None else len(z_m)
    frames = body.frames or max(model.config.frames, given)
    if frames < given:
        raise FieldError("frames", f"frames: z_m has {given} steps; ask for at least as many frames.")
    form, fps = _form(request, body.format), body.fps or model.config.fps
    _check_frames(request, "n" if body.n > 1 else "frames", body.n, frames)
    _check_pixels(request, model, n=body.n, frames=frames, scale=body.scale, form=form)
    made = await _ask(request, model, Generate(body.n, frames, seed, body.temperature, z_c, z_m, action))

    def render() -> bytes | str:
        if form == "json":
            pairs = zip(made.clips, made.codes, strict=True)
            items = [item(clip, codes, fps, body.scale) for clip, codes in pairs]
            return Items(model=model.id, seed=seed, items=items).model_dump_json()
        return encode_video(made.clips[0] if body.n == 1 else grid(made.clips), fps, form, body.scale)

    return await reply(request, model, render, form=form, seed=seed)


@probes.get("/healthz")
async def healthz() -> Status:
    """Answers once the process lives."""
    return Status(status="ok")


@probes.get("/readyz", responses=errors.documented(503))
async def readyz(request: Request) -> Status:
    """Answers 200 once models are loaded and warm and the queue accepts; 503 before, and while shutting down."""
    if request.app.state.draining:
        raise NotReadyError("The service is shutting down: ask another one.")
    engine = _engine(request)
    engine.library.find(None)
    if engine.full:
        raise NotReadyError("Too many requests are waiting: try again soon.")
    return Status(status="ok")


@probes.get(
    "/metrics",
    response_class=Response,
    responses={
        200: {"description": "Prometheus text", "content": {"text/plain": {"schema": {"type": "string"}}}},
        **errors.documented(401),
    },
)
async def metrics(request: Request) -> Response:
    """Counters for Prometheus."""
    return Response(request.app.state.metrics.text(), media_type=CONTENT_TYPE_LATEST)


@probes.get("/", include_in_schema=False)
async def page() -> FileResponse:
    """The web page."""
    return FileResponse(PAGE, media_type="text/html")


def _engine(request: Request) -> Engine:
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise NotReadyError("The models are being loaded: try again soon.")
    return engine


def _model(request: Request, name: str | None) -> Model:
    return _engine(request).library.find(name)


async def _ask(request: Request, model: Model, work: Work[Answer]) -> Answer:
    context: Context = request.state.context
    done = await asyncio.wrap_future(_engine(request).submit(model, work, context.deadline))
    context.stages["queue"], context.stages["model"] = done.queue_s, done.model_s
    request.app.state.metrics.batch.observe(done.batch)
    return done.value


async def _read(request: Request, field: str, form: EncodeForm | SwapForm, model: Model) -> VideoClip:
    context: Context = request.state.context
    media: MediaRooms = request.app.state.media
    return await media.read(field, getattr(form, field), model.config, form.fit, context.deadline)


async def _both(
    first: Coroutine[Any, Any, VideoClip], second: Coroutine[Any, Any, VideoClip]
) -> tuple[VideoClip, VideoClip]:
    """Both clips, made at the same time. Where both are at fault the first is told, whichever failed sooner."""
    clips = asyncio.ensure_future(first), asyncio.ensure_future(second)
    await asyncio.gather(*clips, return_exceptions=True)
    return clips[0].result(), clips[1].result()


def _form(request: Request, asked: Format | None) -> Format:
    return formats.choose(asked, request.headers.get("accept", "*/*"))


def _seed(asked: int | None) -> int:
    return secrets.randbelow(LARGEST_DRAWN_SEED) if asked is None else asked


def _content(model: Model, z_c: list[float]) -> Numbers:
    if len(z_c) != model.config.content_dim:
        raise FieldError(
            "z_c", f"z_c: These are {len(z_c)} numbers; content codes of '{model.id}' have {model.config.content_dim}."
        )
    return np.array(z_c, np.float32)


def _motion(model: Model, z_m: list[list[float]]) -> Numbers:
    for step, code in enumerate(z_m):
        if len(code) != model.config.motion_dim:
            raise FieldError(
                f"z_m[{step}]",
                f"z_m[{step}]: These are {len(code)} numbers; "
                f"motion codes of '{model.id}' have {model.config.motion_dim}.",
            )
    return np.array(z_m, np.float32)


def _action_weights(model: Model, weights: list[float] | None) -> Numbers | None:
    """Raises FieldError unless there is one weight for each of the model's actions."""
    actions = model.config.actions
    if not actions and weights is not None:
        raise FieldError("action", f"action: The model '{model.id}' has no actions; leave this field out.")
    if actions and len(weights or []) != actions:
        raise FieldError(
            "action",
            f"action: The model '{model.id}' has {actions} actions; send as many weights, as /encode gives them.",
        )
    return None if weights is None else np.array(weights, np.float32)


def _action_index(model: Model, index: int) -> Numbers:
    """The one-hot vector of an action; raises FieldError where the model does not have it."""
    actions = model.config.actions
    if index >= actions:
        have = f"has actions 0 to {actions - 1}" if actions else "has no actions; leave this field out"
        raise FieldError("action", f"action: The model '{model.id}' {have}.")
    return np.eye(actions, dtype=np.float32)[index]


def _check_frames(request: Request, field: str, n: int, frames: int) -> None:
    """Raises FieldError for more frames than are made for one request."""
    most = request.app.state.settings.max_generate
    if n * frames > most:
        raise FieldError(field, f"{field}: {n} × {frames} frames are too many: ask for {most} in all at most.")


def _check_pixels(request: Request, model: Model, *, n: int = 1, frames: int, scale: int, form: Format) -> None:
    """Raises FieldError for an answer of more pixels than are sent."""
    settings: Settings = request.app.state.settings
    tile = (model.config.size * scale) ** 2
    tiles = math.ceil(math.sqrt(n)) ** 2
    frame = tile if form == "json" else tile * tiles
    total = tile * tiles * frames
    bounds = ((frame, settings.max_pixels, "a frame"), (total, settings.max_pixels * ANSWER_FRAMES, "all"))
    for found, limit, what in bounds:
        if found > limit:
            raise FieldError(
                "scale",
                f"scale: The answer would have {found:,} pixels in {what}, and {limit:,} are allowed: "
                "ask for a smaller scale, or for less.",
            )


def _info(model: Model, default: bool) -> ModelInfo:
    config = model.config
    return ModelInfo(
        id=model.id,
        modality="video",
        default=default,
        content_dim=config.content_dim,
        motion_dim=config.motion_dim,
        actions=config.actions,
        clip=ClipShape(
            frames=config.frames, height=config.size, width=config.size, channels=config.channels, fps=config.fps
        ),
        card=model.weights.card,
        metrics=model.weights.metrics,
    )
