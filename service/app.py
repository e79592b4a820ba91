"""The HTTP application: middleware, routes, and what lives as long as the process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import torch
from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from service import errors, openapi, routes
from service.engine import Engine
from service.library import load_library
from service.media import MediaRooms
from service.metrics import Metrics
from service.middleware import BodyLimit, Deadline, Keys, Named
from service.settings import Settings, resolve_devices

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/", "/healthz", "/readyz", "/metrics", "/docs", "/openapi.json"})
EXPOSED_HEADERS = ("X-Request-ID", "X-Seed", "X-Model", "Server-Timing", "Retry-After")
FORM_BYTES = 65_536
"""What a form may have beside its files."""
JSON_BYTES = 2 * 1024 * 1024


def create_app(settings: Settings, engine: Engine | None = None) -> FastAPI:
    """Builds the application.

    Args:
        settings: What it may do.
        engine: Answers requests; where absent, one is made from the settings while the application already listens.

    Raises:
        DeviceError: the settings name a device that this machine does not have.
    """
    devices = [] if engine else resolve_devices(settings.device)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.media = await asyncio.to_thread(MediaRooms, settings)
        loading = asyncio.create_task(_load(app, settings, devices, engine))
        yield
        app.state.draining = True
        await loading
        if engine is None and app.state.engine is not None:
            await asyncio.to_thread(app.state.engine.close, settings.grace_s)
        await asyncio.to_thread(app.state.media.close)

    app = FastAPI(
        title="R-WAE",
        summary="Pulls a clip apart into what it is and what it does",
        version="0.1.0",
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.settings, app.state.engine, app.state.draining = settings, None, False
    app.state.metrics = Metrics(lambda: app.state.engine.waiting if app.state.engine else 0)
    app.include_router(routes.calls)
    app.include_router(routes.probes)
    errors.register(app)
    openapi.install(app)

    body_limits = {
        "/encode": settings.max_upload_bytes + FORM_BYTES,
        "/swap": 2 * settings.max_upload_bytes + FORM_BYTES,
    }
    own_keys = {} if settings.metrics_key is None else {"/metrics": settings.metrics_key.get_secret_value()}
    # The last one added is the first that a request meets.
    app.add_middleware(Deadline, seconds=settings.request_timeout_s)
    app.add_middleware(BodyLimit, limit_of=lambda path: body_limits.get(path, JSON_BYTES))
    app.add_middleware(
        Keys,
        keys=[key.get_secret_value() for key in settings.api_keys],
        open_paths=OPEN_PATHS,
        own_keys=own_keys,
    )
    app.add_middleware(Named, metrics=app.state.metrics)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "X-API-Key", "X-Request-ID"),
            expose_headers=EXPOSED_HEADERS,
        )
    return app


async def _load(app: FastAPI, settings: Settings, devices: list[torch.device], engine: Engine | None) -> None:
    """Reads the models and starts the engine, while the event loop already answers `/healthz`."""

    def load() -> Engine:
        torch.set_num_threads(settings.threads)
        # Float32 is to mean float32 on GPUs too: batches of other sizes must give the same codes to 1e-4.
        torch.backends.cudnn.allow_tf32 = False
        return Engine(
            load_library(settings.weights_dir, devices, settings.default_video_model, settings.default_audio_model),
            devices,
            dtype=getattr(torch, settings.dtype),
            max_batch_frames=settings.max_batch_frames,
            queue_size=settings.queue_size,
        )

    try:
        app.state.engine = engine or await asyncio.to_thread(load)
    except Exception:
        logger.exception("the models cannot be loaded, so nothing can be served")
        return
    logger.info("serving %s", ", ".join(app.state.engine.library.models) or "no model")
