"""What is asked, and the code around the model that every server shares: read a clip, say an answer."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.serving.connection import Asked, Connection, post_files, post_json
from benchmarks.serving.load import Load
from rwae_core.media.clip import VideoClip
from rwae_core.media.encode import encode_video
from rwae_core.media.pool import MediaPool
from service.answers import numbers
from service.schemas import Item, Items, VideoEncoding
from service.verbs.video import Encoded, Generated

Verb = Literal["encode", "generate"]
VERBS: tuple[Verb, ...] = ("encode", "generate")
MODEL = "sprites"
WEIGHTS = Path(__file__).parents[2] / "weights"
FRAMES, SIZE, FPS = 8, 64, 8.0
CLIPS = 8
"""Different requests of each kind."""
CODES_AGREE = 1e-4


def read(pool: MediaPool, data: bytes) -> VideoClip:
    """The clip of an upload."""
    return pool.decode_video(data, size=SIZE, channels=3, fit="crop")


def encoding(clip: VideoClip, encoded: Encoded) -> str:
    """What `/encode` answers."""
    return VideoEncoding(
        model=MODEL,
        modality="video",
        frames=len(clip.frames),
        fps=clip.fps,
        psnr_db=encoded.psnr_db,
        seed=None,
        **numbers(encoded.codes),
    ).model_dump_json()


def items(seed: int, made: Generated) -> str:
    """What `/generate` answers as JSON: MP4 files in base64, and their codes."""
    listed = [
        Item(
            media_type="video/mp4",
            data=base64.b64encode(encode_video(clip, FPS, "mp4")).decode(),
            **numbers(codes),
        )
        for clip, codes in zip(made.clips, made.codes, strict=True)
    ]
    return Items(model=MODEL, seed=seed, items=listed).model_dump_json()


async def films(port: int) -> list[bytes]:
    """MP4 files of 8 frames, 64×64, which the service itself generates."""
    connection = await Connection.open(port)
    found = []
    for seed in range(CLIPS):
        answer = await connection.ask(post_json("/generate", model=MODEL, frames=FRAMES, seed=seed, format="mp4"))
        if answer.status != 200:
            raise RuntimeError(f"the service does not generate: {answer.body.decode(errors='replace')}")
        found.append(answer.body)
    connection.close()
    return found


def requests(verb: Verb, clips: Sequence[bytes]) -> list[Asked]:
    """Requests of one kind, each for another clip. `/generate` is asked for JSON, whose codes can be checked."""
    if verb == "encode":
        return [post_files("/encode", {"file": clip}, model=MODEL) for clip in clips]
    return [post_json("/generate", model=MODEL, frames=FRAMES, seed=seed, format="json") for seed in range(len(clips))]


def wrong(load: Load, alone: Sequence[Any]) -> list[str]:
    """What is wrong with the answers that a load has kept, given those of an idle service to the same requests."""
    faults = []
    for outcome in load.outcomes:
        if outcome.status == 200 and outcome.answer is not None:
            fault = difference(outcome.answer.json(), alone[outcome.number])
            if fault:
                faults.append(f"request {outcome.number}: {fault}")
    return faults


def checked(load: Load) -> int:
    """How many answers `wrong` looks at."""
    return sum(outcome.status == 200 and outcome.answer is not None for outcome in load.outcomes)


def difference(answer: Any, alone: Any, path: str = "answer") -> str | None:
    """Where two JSON answers differ in their fields, or in their numbers by more than 1e-4 (dB: 0.01)."""
    if type(answer) is not type(alone):
        return f"{path} is of another kind"
    if isinstance(alone, dict):
        if answer.keys() != alone.keys():
            return f"{path} has other fields"
        return next(filter(None, (difference(answer[key], alone[key], f"{path}.{key}") for key in alone)), None)
    if isinstance(alone, list) and alone and isinstance(alone[0], dict):
        pairs = enumerate(itertools.zip_longest(answer, alone))
        return next(filter(None, (difference(*pair, f"{path}[{index}]") for index, pair in pairs)), None)
    if path.endswith(".data"):  # a lossy file, which a code that differs in its last bit changes
        same = abs(len(answer) - len(alone)) <= 0.1 * len(alone)
    elif isinstance(alone, (float, list)):
        tolerance = 0.01 if path.endswith("_db") else CODES_AGREE
        same = np.shape(answer) == np.shape(alone) and np.allclose(answer, alone, rtol=0, atol=tolerance)
    else:
        same = answer == alone
    return None if same else f"{path} is another"
