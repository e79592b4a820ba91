"""The paths: which model a request is for, and with it whose call answers.

A clip's way: route → `calls.reading` → `calls.video` or `calls.audio` → engine → `answers.reply`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Form, Request, Response, Security
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST

from rwae_core.media.sniff import Modality
from service import errors, openapi
from service.calls import audio, video
from service.calls.asking import engine_of
from service.calls.reading import Reading, read
from service.errors import NotReadyError
from service.library import Model
from service.pages import DOCS, PAGE
from service.schemas import (
    AudioShape,
    DecodeRequest,
    EncodeForm,
    Encoding,
    GenerateRequest,
    Items,
    ModelInfo,
    Models,
    Status,
    SwapForm,
    Swaps,
    VideoShape,
)
from service.verbs.audio import spectrum_of

Multipart = Form(media_type="multipart/form-data")
keys = [Security(HTTPBearer(auto_error=False)), Security(APIKeyHeader(name="X-API-Key", auto_error=False))]
calls = APIRouter(dependencies=keys)  # `Keys` checks them; this describes them in OpenAPI
probes = APIRouter()

READS = (400, 401, 404, 413, 415, 422, 429, 503, 504)
MAKES = (400, 401, 404, 413, 422, 429, 503, 504)


class Calls(Protocol):
    """The four calls, as the modules of `service.calls` have them."""

    async def encode(self, request: Request, model: Model, form: EncodeForm, file: Reading[Any]) -> Response: ...
    async def decode(self, request: Request, model: Model, body: DecodeRequest) -> Response: ...
    async def swap(
        self, request: Request, model: Model, form: SwapForm, content: Reading[Any], motion: Reading[Any]
    ) -> Response: ...
    async def generate(self, request: Request, model: Model, body: GenerateRequest) -> Response: ...


CALLS: Mapping[Modality, Calls] = {"video": video, "audio": audio}


@calls.get("/models", responses=errors.documented(401, 503))
async def models(request: Request) -> Models:
    """What can be asked: every model that is served, its shapes and its measured figures."""
    library = engine_of(request).library
    defaults = library.defaults.values()
    return Models(models=[_info(model, model.id in defaults) for model in library.models.values()])


@calls.post("/encode", responses={200: openapi.json_answer(Encoding, seed=True), **errors.documented(*READS)})
async def encode(request: Request, form: Annotated[EncodeForm, Multipart]) -> Response:
    """Codes of a clip: one for what it shows or who speaks, one for each frame for what happens or is said."""
    model, (file,) = await read(request, form.model, form.fit, file=form.file)
    return await CALLS[model.modality].encode(request, model, form, file)


@calls.post("/decode", responses={200: openapi.media_answer(Items), **errors.documented(*MAKES)})
async def decode(request: Request, body: DecodeRequest) -> Response:
    """The clip of codes, such as `/encode` gives them."""
    model = engine_of(request).library.find(body.model)
    return await CALLS[model.modality].decode(request, model, body)


@calls.post("/swap", responses={200: openapi.media_answer(Swaps), **errors.documented(*READS)})
async def swap(request: Request, form: Annotated[SwapForm, Multipart]) -> Response:
    """What one clip shows doing what happens in the other; one voice saying the other's words. JSON: both directions.

    The answer is as long as `motion`: of sound, to the sample at the model's rate.
    """
    model, (content, motion) = await read(request, form.model, form.fit, content=form.content, motion=form.motion)
    return await CALLS[model.modality].swap(request, model, form, content, motion)


@calls.post("/generate", responses={200: openapi.media_answer(Items, seed=True), **errors.documented(*MAKES)})
async def generate(request: Request, body: GenerateRequest) -> Response:
    """New clips. Content, motion or the beginning of the motion may be fixed; the rest is drawn."""
    model = engine_of(request).library.find(body.model)
    return await CALLS[model.modality].generate(request, model, body)


@probes.get("/healthz")
async def healthz() -> Status:
    """Answers once the process lives."""
    return Status(status="ok")


@probes.get("/readyz", responses=errors.documented(503))
async def readyz(request: Request) -> Status:
    """Answers 200 once models are loaded and warm and the queue accepts; 503 before, and while shutting down."""
    if request.app.state.draining:
        raise NotReadyError("The service is shutting down: ask another one.")
    engine = engine_of(request)
    engine.library.check_any()
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


@probes.get("/docs", include_in_schema=False)
async def docs() -> HTMLResponse:
    """The calls, to read and to try."""
    return DOCS


def _info(model: Model, default: bool) -> ModelInfo:
    config = model.config
    clip: VideoShape | AudioShape
    if model.modality == "audio":
        spectrum = spectrum_of(config)
        clip = AudioShape(
            frames=config.frames, bins=spectrum.bins, sample_rate=spectrum.sample_rate, hop_s=1 / config.fps
        )
    else:
        clip = VideoShape(
            frames=config.frames, height=config.size, width=config.size, channels=config.channels, fps=config.fps
        )
    return ModelInfo(
        id=model.id,
        modality=model.modality,
        default=default,
        content_dim=config.content_dim,
        motion_dim=config.motion_dim,
        actions=config.actions,
        clip=clip,
        card=model.weights.card,
        metrics=model.weights.metrics,
    )
