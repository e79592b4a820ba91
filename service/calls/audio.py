"""The calls for audio models. A clip's way: `Reading` → engine → `answers.reply`."""

from __future__ import annotations

from fastapi import Request, Response

from rwae_core.media.clip import AudioClip
from rwae_core.media.encode import encode_audio
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
from service.errors import FieldError
from service.formats import AUDIO, JSON
from service.library import Model
from service.schemas import AudioEncoding, DecodeRequest, EncodeForm, GenerateRequest, SwapForm
from service.verbs.audio import Decode, Encode, Generate, Swap, spectrum_of
from service.verbs.base import Codes


async def encode(request: Request, model: Model, form: EncodeForm, file: Reading[AudioClip]) -> Response:
    """Codes of a clip."""
    seed = seed_of(form.seed) if form.sample else None
    clip = file.clip
    encoded = await ask(request, model, Encode(clip.samples, seed))

    def render() -> str:
        return AudioEncoding(
            model=model.id,
            modality="audio",
            frames=len(encoded.codes.z_m),
            hop_s=1 / model.config.fps,
            lsd_db=encoded.lsd_db,
            seed=seed,
            **numbers(encoded.codes),
        ).model_dump_json()

    return await reply(request, model, render, form=JSON, seed=seed)


async def decode(request: Request, model: Model, body: DecodeRequest) -> Response:
    """The clip of codes."""
    _check_pictures(model, body)
    action_weights(model, body.action)
    codes = Codes(content_code(model, body.z_c), motion_code(model, body.z_m))
    form, rate = AUDIO.choose(body.format, accept(request)), spectrum_of(model.config).sample_rate
    check_frames(request, model, "z_m", 1, len(codes.z_m))
    wave = await ask(request, model, Decode(codes))

    def render() -> bytes | str:
        if form == JSON:
            return answers.items(model, None, [(encode_audio(wave, rate, AUDIO.default), codes)], AUDIO.default)
        return encode_audio(wave, rate, form)

    return await reply(request, model, render, form=form)


async def swap(
    request: Request, model: Model, form: SwapForm, content: Reading[AudioClip], motion: Reading[AudioClip]
) -> Response:
    """The voice of one clip saying what is said in the other."""
    _check_pictures(model, form)
    output, rate = AUDIO.choose(form.format, accept(request)), spectrum_of(model.config).sample_rate
    swaps = await ask(request, model, Swap(content.clip.samples, motion.clip.samples, both=output == JSON))

    def render() -> bytes | str:
        if output == JSON:
            there, back = (encode_audio(wave, rate, AUDIO.default) for wave in swaps)
            return answers.swaps(model, there, back, AUDIO.default)
        return encode_audio(swaps[0], rate, output)

    return await reply(request, model, render, form=output)


async def generate(request: Request, model: Model, body: GenerateRequest) -> Response:
    """New clips."""
    _check_pictures(model, body)
    if body.stream:
        raise FieldError("stream", f"stream: The model '{model.id}' makes sound; streams are video: leave this out.")
    seed, action, rate = seed_of(body.seed), action_index(model, body.action), spectrum_of(model.config).sample_rate
    z_c = None if body.z_c is None else content_code(model, body.z_c)
    z_m = None if body.z_m is None else motion_code(model, body.z_m)
    frames = frames_asked(model, body.frames, z_m)
    form = AUDIO.choose(body.format, accept(request))
    if body.n > 1 and form != JSON:
        raise FieldError("format", f"format: {body.n} clips of sound do not go into one file: ask for json.")
    check_frames(request, model, "n" if body.n > 1 else "frames", body.n, frames)
    made = await ask(request, model, Generate(body.n, frames, seed, body.temperature, z_c, z_m, action))

    def render() -> bytes | str:
        if form == JSON:
            files = (encode_audio(wave, rate, AUDIO.default) for wave in made.clips)
            return answers.items(model, seed, zip(files, made.codes, strict=True), AUDIO.default)
        return encode_audio(made.clips[0], rate, form)

    return await reply(request, model, render, form=form, seed=seed)


def _check_pictures(model: Model, asked: DecodeRequest | SwapForm | GenerateRequest) -> None:
    """Raises FieldError for wishes that only pictures can fulfil; a scale of 1 asks for nothing."""
    if asked.fps is not None:
        raise FieldError("fps", f"fps: The model '{model.id}' makes sound, which has no frame rate: leave this out.")
    if asked.scale != 1:
        raise FieldError("scale", f"scale: The model '{model.id}' makes sound, which has no pixels: leave this out.")
