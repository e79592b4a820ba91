"""OpenAPI beyond what FastAPI derives: media answers, headers, exact bounds, and codes that the default model takes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from rwae_core.media.sniff import Modality
from service.formats import JSON, MEDIA_TYPES
from service.library import Model
from service.schemas import LARGEST_SEED, Problem


def json_answer(answer: Any, *, seed: bool = False) -> dict[str, Any]:
    """OpenAPI of a JSON answer and its headers."""
    return {"model": answer, "description": "The answer", "headers": _headers(seed)}


def media_answer(answer: type[BaseModel], *, seed: bool = False) -> dict[str, Any]:
    """OpenAPI of an answer that is media, or JSON where that is asked for."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        **json_answer(answer, seed=seed),
        "description": "Media of the form that `format`, or else `Accept`, asks for; or JSON",
        "content": {media_type: binary for form, media_type in MEDIA_TYPES.items() if form != JSON},
    }


def _headers(seed: bool) -> dict[str, Any]:
    described = {
        "X-Request-ID": "The request's id, as sent or made",
        "X-Model": "The model that answered",
        "Server-Timing": "Milliseconds of `decode`, `queue`, `model` and `encode`",
        **({"X-Seed": "Seed of the draws"} if seed else {}),
    }
    return {name: {"description": text, "schema": {"type": "string"}} for name, text in described.items()}


def install(app: FastAPI) -> None:
    """Makes `/openapi.json` complete."""

    def describe() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = get_openapi(title=app.title, version=app.version, summary=app.summary, routes=app.routes)
        schemas = document["components"]["schemas"]
        schemas["Problem"] = Problem.model_json_schema()
        schemas["DecodeRequest"]["examples"], schemas["GenerateRequest"]["examples"] = _examples(app)
        _whole_bounds(document)
        if app.state.engine is not None:  # until then, what `_examples` says is provisional
            app.openapi_schema = document
        return document

    app.openapi = describe  # type: ignore[method-assign]


def _examples(app: FastAPI) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Bodies of `/decode` and `/generate` for the default model of each modality, so that they can be sent as is."""
    engine = app.state.engine
    if engine is None or not engine.library.models:
        return [{"z_c": [0.5, -1.0], "z_m": [[0.1], [0.2]]}], [_NEW_CLIPS["video"]]
    library = engine.library
    named = {modality: {} if modality == "video" else {"model": name} for modality, name in library.defaults.items()}
    codes = [{**named[modality], **_codes(library.find(name))} for modality, name in library.defaults.items()]
    return codes, [{**named[modality], **_NEW_CLIPS[modality]} for modality in library.defaults]


_NEW_CLIPS: dict[Modality, dict[str, Any]] = {
    "video": {"n": 4, "frames": 16, "seed": 7, "format": "gif", "scale": 2},
    "audio": {"n": 1, "frames": 100, "seed": 7, "format": "flac"},
}


def _codes(model: Model) -> dict[str, Any]:
    config = model.config
    return {
        "z_c": [0.0] * config.content_dim,
        "z_m": [[step / 4] * config.motion_dim for step in range(min(4, config.frames))],
        "format": _NEW_CLIPS[model.modality]["format"],
    }


def _whole_bounds(node: Any) -> None:
    """Turns the bounds of integers, which FastAPI says as floats, into the exact integers."""
    if isinstance(node, dict):
        for name in ("minimum", "maximum"):
            if node.get("type") == "integer" and name in node:
                node[name] = min(int(node[name]), LARGEST_SEED)
        for value in node.values():
            _whole_bounds(value)
    elif isinstance(node, list):
        for value in node:
            _whole_bounds(value)
