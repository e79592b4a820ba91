"""Requests and answers: what is said in JSON and in forms, with its bounds and examples."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from rwae_core.media.clip import MAX_FPS, MIN_FPS
from rwae_core.media.encode import AudioFormat, VideoFormat
from rwae_core.media.fit import Fit

Format = Literal[VideoFormat, AudioFormat, "json"]

LARGEST_CODE = 1e6
LARGEST_SEED = 2**63 - 1
Number = Annotated[float, Field(ge=-LARGEST_CODE, le=LARGEST_CODE, allow_inf_nan=False)]
Vector = Annotated[list[Number], Field(min_length=1, max_length=4096)]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED)]
Fps = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
Scale = Annotated[int, Field(ge=1, le=16)]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str | None = Field(
        None,
        max_length=100,
        description="A model of `/models`. Where it is absent: the default model of what is uploaded, video or sound "
        "(of a film with sound: video); where nothing is uploaded, the default video model.",
        examples=["sprites"],
    )


class _Output(_Request):
    format: Format | None = Field(
        None,
        description="Form of the answer. Of video: `mp4` (H.264), `webm`, `gif`, `webp`, `apng` (lossless), `png` "
        "(lossless, frames side by side). Of sound: `wav` (16 bits), `flac` (lossless), `ogg` (Vorbis). Of either: "
        "`json`. Where it is absent the header `Accept` decides, and without that it is `mp4` or `wav`.",
        examples=["mp4"],
    )
    fps: Fps | None = Field(
        None,
        description="Frames a second of the answer; the motion's own where absent, else the model's. Video only.",
        examples=[8],
    )
    scale: Scale = Field(1, description="Enlarges every pixel to scale × scale pixels. Video only.", examples=[4])


class EncodeForm(_Request):
    """A clip, and how to encode it."""

    file: UploadFile = Field(
        description="The clip. Video: MP4, MOV, WebM, GIF, animated WebP or APNG. Sound: WAV, FLAC, OGG, MP3, or MP4 "
        "and WebM, of whatever rate and up to 8 channels. The bytes decide, not the name."
    )
    sample: bool = Field(False, description="Draw the codes from the posteriors, instead of giving their means.")
    seed: Seed | None = Field(None, description="Decides the draw of `sample`; drawn where absent.", examples=[7])
    fit: Fit = Field("crop", description="How frames become square: centre-cropped, padded with black, or stretched.")


class SwapForm(_Output):
    """Two clips: what the answer shows, and how it moves."""

    content: UploadFile = Field(description="The clip whose content is kept: who or what it shows, or who speaks.")
    motion: UploadFile = Field(description="The clip whose motion is kept: what happens in it, or what is said.")
    fit: Fit = Field("crop", description="How frames become square: centre-cropped, padded with black, or stretched.")


class DecodeRequest(_Output):
    """Codes, as `/encode` gives them."""

    z_c: Vector = Field(description="Content code, of the model's `content_dim` numbers.")
    z_m: list[Vector] = Field(
        min_length=1,
        description="Motion codes, one of the model's `motion_dim` numbers for each frame, or column of a spectrum.",
    )
    action: Vector | None = Field(None, description="Weights of the actions, for models that have any.")


class GenerateRequest(_Output):
    """How many new clips of what length, and what of them is fixed."""

    n: int = Field(
        1,
        ge=1,
        le=1024,
        description="Clips. More than one: tiled into a grid (video), or a list in JSON.",
        examples=[4],
    )
    frames: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Frames (of sound: columns) of each clip; where absent the model's own number, or as many as "
        "`z_m` has if that is more. n × frames is limited by the service's `MAX_GENERATE`; a stream has no such limit.",
        examples=[16],
    )
    seed: Seed | None = Field(None, description="Decides the draws; drawn where absent, and told.", examples=[7])
    temperature: float = Field(
        1.0,
        ge=0,
        le=10,
        allow_inf_nan=False,
        description="Scales the standard deviations of the priors.",
        examples=[1.0],
    )
    z_c: Vector | None = Field(None, description="Content to keep in every clip.")
    z_m: list[Vector] | None = Field(
        None, min_length=1, description="Motion to keep in every clip; shorter than `frames`, the prior continues it."
    )
    action: int | None = Field(None, ge=0, le=4095, description="Index of the action, for models that have any.")
    stream: bool = Field(
        False,
        description="Send a video while it is made, as fragmented MP4 (H.264): without `frames` it goes on until the "
        "client leaves or the service's `MAX_STREAM_S` is over. It is made as fast as it is read. The same seed gives "
        "the same frames as without. The header Content-Type names the codec, for Media Source Extensions.",
        examples=[False],
    )


class VideoShape(BaseModel):
    """What a video model's clips look like. Any length can be encoded and generated."""

    frames: int = Field(description="Frames of the clips it was trained on.", examples=[8])
    height: int = Field(description="Pixels.", examples=[64])
    width: int = Field(description="Pixels.", examples=[64])
    channels: int = Field(description="3 for colour, 1 for grey.", examples=[3])
    fps: float = Field(description="Frames a second of generated clips.", examples=[8.0])


class AudioShape(BaseModel):
    """What an audio model's clips are: columns of a spectrum. Any length can be encoded and generated."""

    frames: int = Field(description="Columns of the clips it was trained on.", examples=[20])
    bins: int = Field(description="Numbers in a column.", examples=[200])
    sample_rate: int = Field(description="Samples a second of the sound that it makes.", examples=[16000])
    hop_s: float = Field(description="Seconds from one column to the next.", examples=[0.01])


class ModelInfo(BaseModel):
    """One model that is served."""

    id: str = Field(examples=["sprites"])
    modality: Literal["video", "audio"] = Field(examples=["video"])
    default: bool = Field(description="Whether it serves requests of its modality that name no model.", examples=[True])
    content_dim: int = Field(description="Numbers in z_c.", examples=[64])
    motion_dim: int = Field(description="Numbers in each step of z_m.", examples=[12])
    actions: int = Field(description="Actions the model tells apart; 0 where it has none.", examples=[0])
    clip: VideoShape | AudioShape
    card: str = Field(description="The model in one line.", examples=["Sprites: pixel people who walk, slash and cast"])
    metrics: dict[str, float] = Field(description="Measured figures.", examples=[{"swap_error_action": 3.7}])


class Models(BaseModel):
    """All models that are served."""

    models: list[ModelInfo]


class _Encoding(BaseModel):
    model: str = Field(examples=["sprites"])
    frames: int = Field(description="T, the steps of z_m.", examples=[2])
    z_c: list[float] = Field(description="Content code.", examples=[[0.12, -1.3, 0.5]])
    z_m: list[list[float]] = Field(description="Motion code of each frame.", examples=[[[0.4, 1.1], [0.5, 0.9]]])
    action: list[float] | None = Field(description="Weights of the actions, where the model has any.", examples=[None])
    seed: int | None = Field(description="Seed of the draw, where `sample` asked for one.", examples=[None])


class VideoEncoding(_Encoding):
    """Codes of a video clip."""

    modality: Literal["video"]
    fps: float = Field(description="Frames a second of the clip.", examples=[8.0])
    psnr_db: float = Field(
        description="How well the model can say this clip back: peak signal-to-noise ratio of the decoded codes, in "
        "dB. A clip unlike the training data shows here.",
        examples=[31.5],
    )


class AudioEncoding(_Encoding):
    """Codes of a sound: z_c is the mean over its windows, z_m runs through it."""

    modality: Literal["audio"]
    hop_s: float = Field(description="Seconds from one step of z_m to the next.", examples=[0.01])
    lsd_db: float = Field(
        description="How well the model can say this clip back: log-spectral distance of the decoded codes, the mean "
        "over columns of the root mean square over bins, in dB. A clip unlike the training data shows here.",
        examples=[7.2],
    )


Encoding = Annotated[VideoEncoding | AudioEncoding, Field(discriminator="modality")]


class Media(BaseModel):
    """A clip inside JSON."""

    media_type: str = Field(examples=["video/mp4"])
    data: str = Field(description="The file's bytes in base64.", examples=["AAAAIGZ0eXBpc29t"])


class Item(Media):
    """A clip and its codes."""

    z_c: list[float] = Field(examples=[[0.12, -1.3, 0.5]])
    z_m: list[list[float]] = Field(examples=[[[0.4, 1.1], [0.5, 0.9]]])
    action: list[float] | None = Field(examples=[None])


class Items(BaseModel):
    """Clips and their codes."""

    model: str = Field(examples=["sprites"])
    seed: int | None = Field(description="Seed of the draws; null where nothing was drawn.", examples=[7])
    items: list[Item]


class Swapped(Media):
    """One direction of a swap: which upload gave the content, which the motion."""

    content: Literal["content", "motion"]
    motion: Literal["content", "motion"]


class Swaps(BaseModel):
    """Both directions of a swap."""

    model: str = Field(examples=["sprites"])
    swaps: list[Swapped] = Field(min_length=2, max_length=2)


class Status(BaseModel):
    """How the service is."""

    status: Literal["ok"]


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(description="Names the kind of error.", examples=["urn:problem-type:rwae:invalid-field"])
    title: str = Field(description="The kind of error in words.", examples=["A field is not valid"])
    status: int = Field(description="The HTTP status.", examples=[422])
    detail: str = Field(description="What to change.", examples=["scale: Input should be less than or equal to 16"])
    request_id: str = Field(description="As in the header X-Request-ID.", examples=["0f3c1d9c5a7b4e5f"])
    field: str | None = Field(None, description="The field at fault, where one is.", examples=["scale"])
