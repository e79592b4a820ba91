"""What one writes first: FastAPI routes in its thread pool that call the model under a lock."""

from __future__ import annotations

import threading
from typing import Annotated

import torch
from fastapi import Body, FastAPI, Form, Response, UploadFile

from benchmarks.serving import passes, works
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.weights import load_weights


def create_app() -> FastAPI:
    """Builds the application."""
    torch.set_num_threads(1)
    network, _ = load_weights(works.WEIGHTS / works.MODEL, torch.device("cpu"))
    pool, lock, app = MediaPool(2, MediaLimits()), threading.Lock(), FastAPI()

    @app.post("/encode")
    def encode(file: UploadFile, model: Annotated[str, Form()]) -> Response:
        clip = works.read(pool, file.file.read())
        with lock:
            (answer,) = passes.encode(network, [clip.frames])
        return Response(works.encoding(clip, answer), media_type="application/json")

    @app.post("/generate")
    def generate(frames: Annotated[int, Body()], seed: Annotated[int, Body()]) -> Response:
        with lock:
            (answer,) = passes.generate(network, [seed], frames)
        return Response(works.items(seed, answer), media_type="application/json")

    @app.get("/healthz")
    def healthz() -> str:
        return "ok"

    return app
