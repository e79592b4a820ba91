"""What the calls of video and of audio share: the engine asked, codes and lengths checked, seeds drawn."""

from __future__ import annotations

import asyncio
import math
import secrets

import numpy as np
from fastapi import Request

from service.edge.context import Context
from service.engine import Engine
from service.errors import FieldError, NotReadyError
from service.library import Model
from service.settings import Settings
from service.verbs.base import Answer, Numbers, Work

LARGEST_DRAWN_SEED = 2**53
"""JavaScript reads larger numbers wrongly."""


def engine_of(request: Request) -> Engine:
    """The engine; raises NotReadyError until it is there."""
    engine: Engine | None = request.app.state.engine
    if engine is None:
        raise NotReadyError("The models are being loaded: try again soon.")
    return engine


async def ask(request: Request, model: Model, work: Work[Answer], *, continues: bool = False) -> Answer:
    """The engine's answer, by the request's deadline; `continues` where it goes on with what has been begun."""
    context: Context = request.state.context
    submitted = engine_of(request).submit(model, work, context.deadline, continues=continues)
    done = await asyncio.wrap_future(submitted)
    context.stages["queue"], context.stages["model"] = done.queue_s, done.model_s
    return done.value


def accept(request: Request) -> str:
    """What the client says it takes."""
    return request.headers.get("accept", "*/*")


def seed_of(asked: int | None) -> int:
    """The seed that is asked for, or a drawn one."""
    return secrets.randbelow(LARGEST_DRAWN_SEED) if asked is None else asked


def content_code(model: Model, z_c: list[float]) -> Numbers:
    """A content code; raises FieldError unless it has the model's dimensions."""
    if len(z_c) != model.config.content_dim:
        raise FieldError(
            "z_c", f"z_c: These are {len(z_c)} numbers; content codes of '{model.id}' have {model.config.content_dim}."
        )
    return np.array(z_c, np.float32)


def motion_code(model: Model, z_m: list[list[float]]) -> Numbers:
    """Motion codes; raises FieldError unless each has the model's dimensions."""
    for step, code in enumerate(z_m):
        if len(code) != model.config.motion_dim:
            raise FieldError(
                f"z_m[{step}]",
                f"z_m[{step}]: These are {len(code)} numbers; "
                f"motion codes of '{model.id}' have {model.config.motion_dim}.",
            )
    return np.array(z_m, np.float32)


def action_weights(model: Model, weights: list[float] | None) -> Numbers | None:
    """Weights of actions; raises FieldError unless there is one for each of the model's actions."""
    actions = model.config.actions
    if not actions and weights is not None:
        raise FieldError("action", f"action: The model '{model.id}' has no actions; leave this field out.")
    if actions and len(weights or []) != actions:
        raise FieldError(
            "action",
            f"action: The model '{model.id}' has {actions} actions; send as many weights, as /encode gives them.",
        )
    return None if weights is None else np.array(weights, np.float32)


def action_index(model: Model, index: int | None) -> Numbers | None:
    """The one-hot vector of an action; raises FieldError where the model does not have it."""
    if index is None:
        return None
    actions = model.config.actions
    if index >= actions:
        have = f"has actions 0 to {actions - 1}" if actions else "has no actions; leave this field out"
        raise FieldError("action", f"action: The model '{model.id}' {have}.")
    return np.eye(actions, dtype=np.float32)[index]


def frames_asked(model: Model, asked: int | None, z_m: Numbers | None) -> int:
    """Frames of each generated clip; raises FieldError for fewer than are given."""
    given = 0 if z_m is None else len(z_m)
    frames = asked or max(model.config.frames, given)
    if frames < given:
        raise FieldError("frames", f"frames: z_m has {given} steps; ask for at least as many frames.")
    return frames


def check_frames(request: Request, model: Model, field: str, n: int, frames: int) -> None:
    """Raises FieldError for more frames than are made for one request.

    Of sound as many columns as the longest upload has may be made, so that its codes can come back.
    """
    settings: Settings = request.app.state.settings
    most = settings.max_generate
    if model.modality == "audio":
        most = max(most, math.ceil(settings.max_seconds * model.config.fps))
    if n * frames > most:
        raise FieldError(field, f"{field}: {n} × {frames} frames are too many: ask for {most} in all at most.")
