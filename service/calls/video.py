"""The calls for video models. A clip's way: `Reading` → engine → `answers.reply`."""

from __future__ import annotations

import math

from fastapi import Request, Response

from rwae_core.media.clip import VideoClip
from rwae_core.media.encode import encode_video, grid
from rwae_core.media.fragments import Fragments
from service import answers
from service.answers import numbers, reply
from service.calls.asking import (
    accept,
    action_index,
    action_weights,
    ask,
    check_frames,
    content_code,
    frames_asked,
    motion_code,
    seed_of,
)
from service.calls.reading import Reading
from service.calls.streaming import PART_FRAMES, Streamed, parts
from service.errors import FieldError
from service.formats import JSON, VIDEO
from service.library import Model
from service.schemas import DecodeRequest, EncodeForm, Format, GenerateRequest, SwapForm, VideoEncoding
from service.settings import Settings
from service.verbs.base import Codes, Draws
from service.verbs.stream import Stream
from service.verbs.video import Decode, Encode, Generate, Swap

ANSWER_FRAMES = 16
"""A whole answer may have as many pixels as this many of the largest frames."""


async def encode(request: Request, model: Model, form: EncodeForm, file: Reading[VideoClip]) -> Response:
    """Codes of a clip."""
    seed = seed_of(form.seed) if form.sample else None
    clip = file.clip
    encoded = await ask(request, model, Encode(clip.frames, seed))

    def render() -> str:
        return VideoEncoding(
            model=model.id,
            modality="video",
            frames=len(clip.frames),
            fps=clip.fps,
            psnr_db=encoded.psnr_db,
            seed=seed,
            **numbers(encoded.codes),
        ).model_dump_json()

    return await reply(request, model, render, form=JSON, seed=seed)


async def decode(request: Request, model: Model, body: DecodeRequest) -> Response:
    """The clip of codes."""
    codes = Codes(content_code(model, body.z_c), motion_code(model, body.z_m), action_weights(model, body.action))
    form, fps = VIDEO.choose(body.format, accept(request)), body.fps or model.config.fps
    check_frames(request, model, "z_m", 1, len(codes.z_m))
    _check_pixels(request, model, frames=len(codes.z_m), scale=body.scale, form=form)
    frames = await ask(request, model, Decode(codes))

    def render() -> bytes | str:
        if form == JSON:
            data = encode_video(frames, fps, VIDEO.default, body.scale)
            return answers.items(model, None, [(data, codes)], VIDEO.default)
        return encode_video(frames, fps, form, body.scale)

    return await reply(request, model, render, form=form)


async def swap(
    request: Request, model: Model, form: SwapForm, content: Reading[VideoClip], motion: Reading[VideoClip]
) -> Response:
    """What one clip shows, doing what happens in the other."""
    output = VIDEO.choose(form.format, accept(request))
    kept, moved = content.clip, motion.clip
    both_ways = output == JSON
    longest = max(len(kept.frames), len(moved.frames)) if both_ways else len(moved.frames)
    _check_pixels(request, model, frames=longest, scale=form.scale, form=output)
    swaps = await ask(request, model, Swap(kept.frames, moved.frames, both_ways))

    def render() -> bytes | str:
        if output == JSON:
            there = encode_video(swaps[0], form.fps or moved.fps, VIDEO.default, form.scale)
            back = encode_video(swaps[1], form.fps or kept.fps, VIDEO.default, form.scale)
            return answers.swaps(model, there, back, VIDEO.default)
        return encode_video(swaps[0], form.fps or moved.fps, output, form.scale)

    return await reply(request, model, render, form=output)


async def generate(request: Request, model: Model, body: GenerateRequest) -> Response:
    """New clips."""
    if body.stream:
        return await _stream(request, model, body)
    seed, action = seed_of(body.seed), action_index(model, body.action)
    z_c = None if body.z_c is None else content_code(model, body.z_c)
    z_m = None if body.z_m is None else motion_code(model, body.z_m)
    frames = frames_asked(model, body.frames, z_m)
    form, fps = VIDEO.choose(body.format, accept(request)), body.fps or model.config.fps
    check_frames(request, model, "n" if body.n > 1 else "frames", body.n, frames)
    _check_pixels(request, model, n=body.n, frames=frames, scale=body.scale, form=form)
    made = await ask(request, model, Generate(body.n, frames, seed, body.temperature, z_c, z_m, action))

    def render() -> bytes | str:
        if form == JSON:
            files = (encode_video(clip, fps, VIDEO.default, body.scale) for clip in made.clips)
            return answers.items(model, seed, zip(files, made.codes, strict=True), VIDEO.default)
        return encode_video(made.clips[0] if body.n == 1 else grid(made.clips), fps, form, body.scale)

    return await reply(request, model, render, form=form, seed=seed)


async def _stream(request: Request, model: Model, body: GenerateRequest) -> Response:
    """New clips that go on until the client leaves, or as many frames of them as are asked for."""
    if body.format not in {None, "mp4"}:
        raise FieldError("format", "format: A stream is mp4: leave this field out.")
    seed, action = seed_of(body.seed), action_index(model, body.action)
    z_c = None if body.z_c is None else content_code(model, body.z_c)
    z_m = None if body.z_m is None else motion_code(model, body.z_m)
    if body.frames is not None:
        frames_asked(model, body.frames, z_m)
    check_frames(request, model, "n", body.n, PART_FRAMES)
    _check_pixels(request, model, n=body.n, frames=PART_FRAMES, scale=body.scale, form="mp4")
    stream = Stream(Draws(body.n, PART_FRAMES, seed, body.temperature, z_c, z_m, action))
    film = Fragments(body.fps or model.config.fps, body.scale)
    sent = parts(request, model, stream, film, frames=body.frames)
    first = await anext(sent)
    return Streamed(first, sent, headers={"X-Model": model.id, "X-Seed": str(seed)}, media_type=film.media_type)


def _check_pixels(request: Request, model: Model, *, n: int = 1, frames: int, scale: int, form: Format) -> None:
    """Raises FieldError for an answer of more pixels than are sent."""
    settings: Settings = request.app.state.settings
    tile = (model.config.size * scale) ** 2
    tiles = math.ceil(math.sqrt(n)) ** 2
    frame = tile if form == JSON else tile * tiles
    total = tile * tiles * frames
    bounds = ((frame, settings.max_pixels, "a frame"), (total, settings.max_pixels * ANSWER_FRAMES, "all"))
    for found, limit, what in bounds:
        if found > limit:
            raise FieldError(
                "scale",
                f"scale: The answer would have {found:,} pixels in {what}, and {limit:,} are allowed: "
                "ask for a smaller scale, or for less.",
            )
