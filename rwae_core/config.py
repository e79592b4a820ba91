"""Everything needed to rebuild a model, as one validated value that is stored beside its weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Width = Annotated[int, Field(ge=1, le=4096)]


class SimpleFrames(BaseModel):
    """The simple ("S") frame networks: strided convolutions down to 4×4 and their mirror image.

    `encoder_widths` and `decoder_widths` are the channels after each halving, and before each doubling, of the
    resolution: log2(size / 4) entries, 4 for 64 pixels, 5 for 128. With fewer `encoder_widths`, frames are first
    averaged down, which hides fine shapes from the motion posterior. A "linear" output trains faster than a "sigmoid"
    on dark frames, where that saturates; it is clamped to [0, 1] outside of training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: Literal["simple"] = "simple"
    encoder_widths: tuple[Width, ...] = (256, 256, 256, 256)
    decoder_widths: tuple[Width, ...] = (256, 256, 256, 256)
    output: Literal["sigmoid", "linear"] = "sigmoid"


class ModelConfig(BaseModel):
    """Shapes and structure of one R-WAE. The defaults are the paper's for Sprites with S networks.

    Sizes are in pixels, `frames` is the length of the clips it was trained on (any length can be encoded and
    generated), `fps` is the rate at which generated clips play.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = 64
    channels: Literal[1, 3] = 3
    frames: Annotated[int, Field(ge=1, le=4096)] = 8
    fps: Annotated[float, Field(gt=0, le=240)] = 8.0
    content_dim: Width = 120
    motion_dim: Width = 12
    hidden_dim: Width = 150
    frame_networks: SimpleFrames = SimpleFrames()
    content_posterior: Literal["recurrent", "patches"] = "recurrent"
    patch_widths: tuple[Width, Width, Width] = (64, 128, 256)
    decoder: Literal["recurrent", "memoryless", "modulated"] = "recurrent"

    @model_validator(mode="after")
    def _widths_fit_size(self) -> Self:
        halvings = self.size.bit_length() - 3
        if self.size < 8 or self.size != 4 << halvings:
            raise ValueError(f"size is {self.size}; it must be a power of two of at least 8, such as 64 or 128")
        encoder, decoder = len(self.frame_networks.encoder_widths), len(self.frame_networks.decoder_widths)
        if not 1 <= encoder <= halvings:
            raise ValueError(f"encoder_widths has {encoder} entries; {self.size} pixels take 1 to {halvings}")
        if decoder != halvings:
            raise ValueError(f"decoder_widths has {decoder} entries; {self.size} pixels need {halvings}")
        return self

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of a frame."""
        return (self.channels, self.size, self.size)
