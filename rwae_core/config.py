"""Everything needed to rebuild a model, as one validated value that is stored beside its weights."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from rwae_core.errors import ShapeError
from rwae_core.speech import SpectrumConfig

Width = Annotated[int, Field(ge=1, le=4096)]
Output = Literal["sigmoid", "linear"]


class _Frames(BaseModel):
    """What a frame is, and the networks that turn it into features and back.

    A "linear" output trains faster than a "sigmoid" on dark frames, where that saturates; it is clamped to [0, 1]
    outside of training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Output = "sigmoid"


class _VideoFrames(_Frames):
    """Frames of `channels` × `size` × `size` pixels."""

    size: int = 64
    channels: Literal[1, 3] = 3

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Channels, height and width of a frame."""
        return (self.channels, self.size, self.size)

    def _halvings(self, smallest: int) -> int:
        """How often the size halves until `smallest` pixels are left."""
        halvings = (self.size // smallest).bit_length() - 1
        if halvings < 1 or self.size != smallest << halvings:
            least = 2 * smallest
            raise ValueError(f"size is {self.size}; it must be a power of two of at least {least}, such as 64 or 128")
        return halvings


class SimpleFrames(_VideoFrames):
    """The simple ("S") frame networks: strided convolutions down to 4×4 and their mirror image.

    `encoder_widths` and `decoder_widths` are the channels after each halving, and before each doubling, of the
    resolution: log2(size / 4) entries, 4 for 64 pixels, 5 for 128. With fewer `encoder_widths`, frames are first
    averaged down, which hides fine shapes from the motion posterior.
    """

    network: Literal["simple"] = "simple"
    encoder_widths: tuple[Width, ...] = (256, 256, 256, 256)
    decoder_widths: tuple[Width, ...] = (256, 256, 256, 256)

    @model_validator(mode="after")
    def _widths_fit_size(self) -> Self:
        halvings = self._halvings(4)
        encoder, decoder = len(self.encoder_widths), len(self.decoder_widths)
        if not 1 <= encoder <= halvings:
            raise ValueError(f"encoder_widths has {encoder} entries; {self.size} pixels take 1 to {halvings}")
        if decoder != halvings:
            raise ValueError(f"decoder_widths has {decoder} entries; {self.size} pixels need {halvings}")
        return self


class _BlockFrames(_VideoFrames):
    """Blocks that halve the resolution down to 2×2, and blocks that double it: log2(size / 2) widths each."""

    encoder_widths: tuple[Width, ...]
    decoder_widths: tuple[Width, ...]

    @model_validator(mode="after")
    def _widths_fit_size(self) -> Self:
        halvings = self._halvings(2)
        for name, widths in (("encoder_widths", self.encoder_widths), ("decoder_widths", self.decoder_widths)):
            if len(widths) != halvings:
                raise ValueError(f"{name} has {len(widths)} entries; {self.size} pixels need {halvings}")
        return self


class ComplexFrames(_BlockFrames):
    """The complex ("C") frame networks: BigGAN's residual blocks, self-attention and a ladder (Tables 5 to 8).

    `encoder_widths` are the channels after each block that halves the resolution down to 2×2, `decoder_widths` those
    after each block that doubles it: log2(size / 2) entries each, 5 for 64 pixels, 6 for 128. The decoder starts from
    twice its first width at 2×2. Features come and go in one equal part for each block and one for the 2×2 end, so the
    model's `hidden_dim` must be a multiple of log2(size).
    """

    network: Literal["complex"] = "complex"
    encoder_widths: tuple[Width, ...] = (64, 128, 256, 512, 1024)
    decoder_widths: tuple[Width, ...] = (1024, 512, 256, 128, 64)


class TFGANFrames(_BlockFrames):
    """The plainer convolutional networks of TFGAN (Balaji et al. 2018), Table 9; the default widths are its authors'.

    `encoder_widths` are the channels after each block that halves the resolution down to 2×2, `decoder_widths` those
    of each block that doubles it: log2(size / 2) entries each, 5 for 64 pixels, 6 for 128.
    """

    network: Literal["tfgan"] = "tfgan"
    encoder_widths: tuple[Width, ...] = (128, 128, 128, 256, 256)
    decoder_widths: tuple[Width, ...] = (256, 128, 128, 128, 64)


class SpectrumFrames(_Frames):
    """Fully connected networks on one column of a log-magnitude spectrum, scaled to [0, 1] (Table 1).

    `spectrum` says what a column is; `widths` are the hidden layers of the encoder, and of the decoder in reverse.
    """

    network: Literal["spectrum"] = "spectrum"
    spectrum: SpectrumConfig = SpectrumConfig()
    widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (256, 256)

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Bins of a column."""
        return (self.spectrum.bins,)


FrameNetworks = Annotated[SimpleFrames | ComplexFrames | TFGANFrames | SpectrumFrames, Field(discriminator="network")]


class ModelConfig(BaseModel):
    """Shapes and structure of one R-WAE. The defaults are the paper's for Sprites with S networks.

    `frames` is the length of the clips it was trained on (any length can be encoded and generated), `fps` is the rate
    at which generated clips play, in frames or spectrum columns a second. `actions` is A, the number of actions that a
    weakly supervised model tells apart (section 3.4), 0 without. With a "standardised" `motion_input` the motion
    posterior sees frames freed of the mean and the standard deviation of their recording (`rwae_core.moments`), with
    "contrast" pixels freed of those of their frame's channel. Each step of the prior is a mixture of `prior_components`
    Gaussians; the paper's is one. With `prior_residual` the prior says how z^m_t differs from z^m_{t−1}, for motion
    whose steps are alike wherever they are taken, and with `prior_action` it is told the action; the paper's does
    neither. Content's prior is a learned mixture of `content_components`, or N(0, I) as in the paper where they are 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: Annotated[int, Field(ge=1, le=4096)] = 8
    fps: Annotated[float, Field(gt=0, le=240)] = 8.0
    content_dim: Width = 120
    motion_dim: Width = 12
    hidden_dim: Width = 150
    actions: Annotated[int, Field(ge=0, le=256)] = 0
    frame_networks: FrameNetworks = SimpleFrames()
    content_posterior: Literal["recurrent", "patches", "glimpse", "pooled"] = "recurrent"
    motion_input: Literal["frames", "contrast", "standardised"] = "frames"
    patch_widths: tuple[Width, Width, Width] | tuple[Width, Width, Width, Width] = (64, 128, 256)
    prior_components: Annotated[int, Field(ge=1, le=256)] = 1
    prior_residual: bool = False
    content_components: Annotated[int, Field(ge=1, le=4096)] = 1
    prior_action: bool = False
    decoder: Literal["recurrent", "memoryless", "modulated", "placed"] = "recurrent"

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        networks = self.frame_networks
        if isinstance(networks, ComplexFrames) and self.hidden_dim % (len(networks.encoder_widths) + 1):
            levels = len(networks.encoder_widths) + 1
            raise ValueError(
                f"hidden_dim is {self.hidden_dim}; complex frame networks split it in {levels} equal parts"
            )
        if isinstance(networks, SpectrumFrames) and self.fps != networks.spectrum.fps:
            raise ValueError(f"fps is {self.fps:g}; a spectrum's columns come at {networks.spectrum.fps:g} a second")
        if self.prior_action and not self.actions:
            raise ValueError("prior_action tells the prior which of the actions it is; set actions")
        if self.prior_residual and self.frames < 2:
            raise ValueError("prior_residual says how z^m changes from frame to frame; set frames to 2 or more")
        if self.content_posterior in ("patches", "glimpse") and isinstance(networks, SpectrumFrames):
            raise ValueError(
                f"content_posterior = '{self.content_posterior}' looks at pixels; spectra take 'recurrent' or 'pooled'"
            )
        if self.content_posterior == "pooled" and not isinstance(networks, SpectrumFrames):
            raise ValueError(
                "content_posterior = 'pooled' looks at spectra; pixels take 'recurrent', 'patches' or 'glimpse'"
            )
        if self.content_posterior == "glimpse" and self.size < (least := 2 << len(self.patch_widths)):
            raise ValueError(
                f"size is {self.size}; content_posterior = 'glimpse' with {len(self.patch_widths)} patch_widths needs "
                f"at least {least}"
            )
        if self.motion_input == "contrast" and isinstance(networks, SpectrumFrames):
            raise ValueError("motion_input = 'contrast' is of pixels; spectra take 'frames' or 'standardised'")
        if self.motion_input == "standardised" and self.content_posterior != "pooled":
            raise ValueError(
                "motion_input = 'standardised' hides what content is; it needs content_posterior = 'pooled'"
            )
        if self.decoder in ("modulated", "placed") and not isinstance(networks, SimpleFrames):
            raise ValueError(
                f"decoder = '{self.decoder}' draws with the simple networks' widths; set network = 'simple'"
            )
        return self

    @property
    def frame_shape(self) -> tuple[int, ...]:
        """Channels, height and width of a video frame; bins of a spectrum's column."""
        return self.frame_networks.frame_shape

    @property
    def channels(self) -> int:
        """Channels of a video frame."""
        return self._video.channels

    @property
    def size(self) -> int:
        """Height and width of a video frame, in pixels."""
        return self._video.size

    @property
    def _video(self) -> SimpleFrames | ComplexFrames | TFGANFrames:
        if isinstance(self.frame_networks, SpectrumFrames):
            raise ShapeError("this model's frames are columns of a spectrum; they have no height, width or channels")
        return self.frame_networks
