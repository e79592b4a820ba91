"""The HTTP application: what requests pass, routes, and what lives as long as the process."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from rwae_core.memory import return_freed_memory
from rwae_core.prepared import fastest_dtype
from service import errors, openapi, pages, routes, tracing
from service.devices import resolve_devices
from service.edge.body import BodyLimit, Linger
from service.edge.clients import Clients
from service.edge.deadline import Deadline
from service.edge.headers import SecurityHeaders, page_policy
from service.edge.keys import Keys
from service.edge.named import Named
from service.engine import Engine
from service.library import Library
from service.media import MediaRooms
from service.metrics import Live, Metrics
from service.networks import Budget
from service.settings import Settings
from service.streams import Streams
from service.weights_folder import Watch, WeightsFolder

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"}) | pages.FILE_PATHS
EXPOSED_HEADERS = ("X-Request-ID", "X-Seed", "X-Model", "Server-Timing", "Retry-After")
FORM_BYTES = 65_536
"""What a form may have beside its files."""
JSON_BYTES = 2 * 1024 * 1024
TIDY_S = 20.0
CPU_BATCH_FRAMES, GPU_BATCH_FRAMES = 64, 512
"""On a CPU larger passes are hardly faster a frame, and everybody in them waits for all of it."""


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """Builds the application.

    Args:
        settings: What it may do.
        engine: Answers requests; where absent, one is made from the settings while the application already listens.

    Raises:
        DeviceError: the settings name a device that this machine does not have.
    """
    devices = [torch.device("cpu")] if engine else resolve_devices(settings.device)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tempfile.gettempdir()  # chosen while there is room: were it full, another folder would be taken for good
        app.state.media = await asyncio.to_thread(MediaRooms, settings)
        app.state.loading = asyncio.create_task(_load(app, settings, devices, engine))
        tidying = asyncio.create_task(_tidy())
        yield
        tidying.cancel()
        app.state.draining = True
        await app.state.loading
        if app.state.watch is not None:
            await asyncio.to_thread(app.state.watch.close)
        if engine is None and app.state.engine is not None:
            await asyncio.to_thread(app.state.engine.close)  # the server has waited for requests
        await asyncio.to_thread(app.state.media.close)

    app = FastAPI(
        title="R-WAE",
        summary="Pulls a clip apart into what it is and what it does",
        version="0.1.0",
        docs_url=None,  # `routes` has it
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.settings, app.state.draining = settings, False
    app.state.engine = app.state.media = app.state.watch = None
    app.state.streams = Streams(settings.max_streams)
    live = Live(lambda: app.state.engine, lambda: app.state.media, devices)
    app.state.metrics = Metrics(live, app.state.streams)
    app.include_router(routes.calls)
    app.include_router(routes.probes)
    app.mount("/static", pages.FILES)
    errors.register(app)
    openapi.install(app)
    _guard(app, settings)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    """Puts everything before the routes that a request passes; the last one added is the first that it meets."""
    body_limits = {
        "/encode": settings.max_upload_bytes + FORM_BYTES,
        "/swap": 2 * settings.max_upload_bytes + FORM_BYTES,
    }
    app.add_middleware(Deadline, seconds=settings.request_timeout_s)
    app.add_middleware(
        BodyLimit, limit_of=lambda path: body_limits.get(path, JSON_BYTES), seconds=settings.upload_timeout_s
    )
    if settings.max_per_client is not None:
        app.add_middleware(Clients, most=settings.max_per_client, open_paths=OPEN_PATHS)
    app.add_middleware(
        Keys,
        keys=settings.api_keys,
        open_paths=OPEN_PATHS,
        own_keys={"/metrics": settings.metrics_key} if settings.metrics_key else {},
    )
    tracing.install(app)
    app.add_middleware(Named, metrics=app.state.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "X-API-Key", "X-Request-ID"),
            expose_headers=EXPOSED_HEADERS,
        )
    app.add_middleware(
        SecurityHeaders,
        pages={
            "/": page_policy(pages.PAGE.read_text(encoding="utf-8")),
            "/docs": page_policy(bytes(pages.DOCS.body).decode(), styles="'unsafe-inline'"),
        },
    )
    app.add_middleware(Linger)


async def _tidy() -> None:
    """Keeps memory flat: what passes of all sizes have left behind goes back to the system now and then."""
    while True:
        await asyncio.sleep(TIDY_S)
        await asyncio.to_thread(return_freed_memory)


async def _load(app: FastAPI, settings: Settings, devices: list[torch.device], engine: Engine | None) -> None:
    """Reads the models and starts the engine, while the event loop already answers `/healthz`."""

    def load() -> Engine:
        torch.set_num_threads(settings.threads)
        # Float32 is to mean float32 on GPUs too: batches of other sizes must give the same codes to 1e-4.
        torch.backends.cudnn.allow_tf32 = False
        library = Library(settings.default_video_model, settings.default_audio_model)
        dtype = torch.bfloat16 if settings.dtype == "bfloat16" else torch.float32
        drawing = fastest_dtype() if settings.dtype == "auto" else dtype
        folder = WeightsFolder(settings.weights_dir, devices, library, Budget(settings.model_memory_mb), drawing)
        folder.read()
        app.state.watch = Watch(folder)
        return Engine(
            library,
            devices,
            dtype=dtype,
            max_batch_frames=settings.max_batch_frames
            or (GPU_BATCH_FRAMES if devices[0].type == "cuda" else CPU_BATCH_FRAMES),
            queue_size=settings.queue_size,
            observer=app.state.metrics,
        )

    try:
        app.state.engine = engine or await asyncio.to_thread(load)
    except Exception:  # whatever it is: the task's own failure would be told only when the service ends
        logger.exception("the models cannot be loaded, so nothing can be served")
        return
    logger.info("serving %s", ", ".join(app.state.engine.library.models) or "no model")
