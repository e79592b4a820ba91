"""OpenAPI beyond what FastAPI derives: media answers, headers, exact bounds, and codes that the default model takes."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from rwae_core.media.encode import MEDIA_TYPES
from service.schemas import LARGEST_SEED, Problem


def json_answer(answer: type[BaseModel], *, seed: bool = False) -> dict[str, Any]:
    """OpenAPI of a JSON answer and its headers."""
    return {"model": answer, "description": "The answer", "headers": _headers(seed)}


def media_answer(answer: type[BaseModel], *, seed: bool = False) -> dict[str, Any]:
    """OpenAPI of an answer that is media, or JSON where that is asked for."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        **json_answer(answer, seed=seed),
        "description": "Media of the form that `format`, or else `Accept`, asks for; or JSON",
        "content": dict.fromkeys(MEDIA_TYPES.values(), binary),
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
        schemas["DecodeRequest"]["examples"] = [_codes(app)]
        _whole_bounds(document)
        if app.state.engine is not None:  # until then, what `_codes` says is provisional
            app.openapi_schema = document
        return document

    app.openapi = describe  # type: ignore[method-assign]


def _codes(app: FastAPI) -> dict[str, Any]:
    """Codes of the default model's dimensions, so that the example can be sent as it is."""
    engine = app.state.engine
    if engine is None or engine.library.default is None:
        return {"z_c": [0.5, -1.0], "z_m": [[0.1], [0.2]]}
    config = engine.library.find(None).config
    return {
        "z_c": [0.0] * config.content_dim,
        "z_m": [[step / 4] * config.motion_dim for step in range(min(4, config.frames))],
        "format": "gif",
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
