"""What the service can be told through its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from service.cpus import available_cpus
from service.edge.key import Key
from service.logs import LogFormat, LogLevel


def _parts(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _split(value: object) -> object:
    return _parts(value) if isinstance(value, str) else value


def _hashed(value: object) -> object:
    """Keys, of which nothing but the hashes is kept."""
    if isinstance(value, str):
        return [Key(plain) for plain in _parts(value)]
    return value


class Settings(BaseSettings):
    """Settings of one process, each read from `RWAE_<NAME>`; an empty variable counts as unset."""

    model_config = SettingsConfigDict(
        env_prefix="RWAE_",
        env_ignore_empty=True,
        frozen=True,
        arbitrary_types_allowed=True,
        hide_input_in_errors=True,  # it may be a key
    )

    host: str = Field("127.0.0.1", description="address to listen on; `0.0.0.0` for every interface")
    port: int = Field(8000, ge=0, le=65535, description="port; 0 picks a free one")
    weights_dir: Path = Field(Path("weights"), description="folder with one folder for each model")
    device: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        ("auto",),
        min_length=1,
        description="`auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, or several, comma-separated",
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="arithmetic of the networks; `auto` is `float32`, but draws in bfloat16 on CPUs that have it "
        "(0.15 of 255 levels off); with `bfloat16` codes no longer agree to 1e-4 whatever the batch",
    )
    threads: int = Field(
        default_factory=available_cpus,
        ge=1,
        le=1024,
        description="CPU threads of inference; default: the CPUs this process may use",
    )
    default_video_model: str | None = Field(
        None, description="video model for requests that name none; default: sprites, or else the first by name"
    )
    default_audio_model: str | None = Field(
        None, description="the same for audio; default: librispeech, or else the first by name"
    )
    api_keys: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_hashed)] = Field(
        (), description="comma-separated keys, one of which every request must bring; none: open to all"
    )
    metrics_key: Annotated[tuple[Key, ...], NoDecode, BeforeValidator(_hashed)] = Field(
        (), description="key for `/metrics`, which is open without it"
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)] = Field(
        (), description="comma-separated origins whose pages may call the service; `*` for all"
    )
    max_upload_mb: float = Field(32, gt=0, le=4096, description="megabytes of one uploaded file")
    max_frames: int = Field(512, ge=1, le=100_000, description="frames of one uploaded clip")
    max_pixels: int = Field(
        4_194_304,
        ge=64,
        le=1 << 28,
        description="pixels of one frame, uploaded or answered; a whole answer has 16 times as many",
    )
    max_seconds: float = Field(60, gt=0, le=3600, description="seconds of one uploaded sound")
    max_generate: int = Field(
        1024,
        ge=1,
        le=1_000_000,
        description="clips × frames of one `/generate` or `/decode`; of sound at least MAX_SECONDS",
    )
    max_streams: int = Field(8, ge=0, le=100_000, description="streams at once; 0 for none")
    max_stream_s: float = Field(3600, gt=0, le=1e9, description="seconds after which a stream ends")
    model_memory_mb: float | None = Field(
        None,
        gt=0,
        description="megabytes of all models' parameters; above it idle models wait on disk; default: no limit",
    )
    max_batch_frames: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="frames that share one pass of the model; longer clips pass in parts; default: 64, 512 on GPUs",
    )
    queue_size: int = Field(64, ge=1, le=100_000, description="requests that may wait, for the model or for decoding")
    max_per_client: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="requests of one client at once, by its key or else its address; default: any number",
    )
    upload_timeout_s: float = Field(60, gt=0, le=3600, description="seconds for a request's body to come")
    request_timeout_s: float = Field(30, gt=0, le=3600, description="seconds from a request's last byte to its answer")
    grace_s: int = Field(30, ge=0, le=3600, description="seconds for running requests to end on shutdown")
    decode_workers: int = Field(
        default_factory=lambda: min(8, max(2, available_cpus())),
        ge=1,
        le=256,
        description="processes that decode uploads; default: the CPUs, at least 2, at most 8",
    )

    log_format: LogFormat = Field("console", description="`console`, or `json` with an object on each line")
    log_level: LogLevel = Field(
        "info", description="`debug` (probes' requests too), `info`, `warning` or `error`: what is logged"
    )

    @property
    def max_upload_bytes(self) -> int:
        """`max_upload_mb` in bytes."""
        return int(self.max_upload_mb * 1024 * 1024)
