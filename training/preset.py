"""A preset: everything that a training run is made of, read from one TOML file in `presets/`."""

from __future__ import annotations

import tomllib
from math import cos, pi
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, TypeAdapter, model_validator

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.speech import SpectrumConfig
from training.baselines.ds_vae import DSVAEConfig
from training.baselines.fhvae import FHVAEConfig
from training.baselines.mocogan import MoCoGANConfig
from training.datasets.catalogue import Name

FOLDER = Path(__file__).parent / "presets"

AGREEING = 1
"""Other clips whose action each clip's should be."""

Weight = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]


def _method(model: Any) -> str:
    """What a [model] section configures: R-WAE where it says nothing else."""
    return model.get("method", "rwae") if isinstance(model, dict) else getattr(model, "method", "rwae")


MethodConfig = Annotated[
    Annotated[ModelConfig, Tag("rwae")]
    | Annotated[DSVAEConfig, Tag("ds-vae")]
    | Annotated[FHVAEConfig, Tag("fhvae")]
    | Annotated[MoCoGANConfig, Tag("mocogan")],
    Discriminator(_method),
]
METHOD_CONFIG: TypeAdapter[MethodConfig] = TypeAdapter(MethodConfig)
"""Reads a [model] section alone, as a run has it whose other sections are of another version."""


_TERMS = {
    "rwae": {"content_mmd", "content_gan", "motion_mmd", "content_kl", "motion_kl", "action_kl"}
    | {"action_agreement", "action_cycle", "drawn_action", "swap", "dependence", "recording_correlation"}
    | {"content_cycle", "motion_cycle", "frame_gan"},
    "ds-vae": {"content_kl", "motion_kl", "action_kl"},
    "fhvae": {"content_kl", "motion_kl", "sequence_prior", "discriminative"},
    "mocogan": set[str](),
}
"""The weighted terms of each method's objective."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Objective(_Section):
    """Weights of the terms of `training.objectives`, under their names; a term of weight 0 is not computed.

    `cost` is c(x, G(z)), and `swap` that of a clip of speech with another one's content, against the clip with the
    mean spectrum of the other one's recording in place of its own. `recording_correlation` is that of what z^m says
    in both halves of a recording. Both need windows of it (`Views.content_windows`). `content_cycle` looks at
    frames that the prior moves, `motion_cycle` at clips of content from its prior, `action_cycle` at swaps,
    `drawn_action` at codes of the motion's prior. `frame_gan` is that of frames, decoded, swapped and of the
    priors, that are to pass for filmed ones; its critic learns wherever the schedule's `learns` has it. `ramp` is
    the share of the run over which every weight but the reconstruction's rises from 0, `quiet` the share before, in
    which they are 0: where the reconstruction does not yet pull at a code, an optimiser that normalises gradients
    feels the smallest weight as a whole one. `action_temperature` is τ of the Gumbel-softmax at the first and the
    last iteration, falling geometrically. `action_agreement` is that of two clips that probably show the same.
    `sequence_prior` and `discriminative` (α) are FHVAE's, whose reconstruction is a likelihood whatever the `cost`.
    """

    cost: Literal["squared_error", "moving_error", "cross_entropy", "spectral_error"] = "squared_error"
    content_mmd: Weight = 0
    content_gan: Weight = 0
    motion_mmd: Weight = 0
    content_kl: Weight = 0
    motion_kl: Weight = 0
    swap: Weight = 0
    dependence: Weight = 0
    recording_correlation: Weight = 0
    content_cycle: Weight = 0
    motion_cycle: Weight = 0
    action_cycle: Weight = 0
    drawn_action: Weight = 0
    frame_gan: Weight = 0
    action_kl: Weight = 0
    action_agreement: Weight = 0
    sequence_prior: Weight = 0
    discriminative: Weight = 0
    quiet: Annotated[float, Field(ge=0, lt=1)] = 0
    ramp: Annotated[float, Field(ge=0, le=1)] = 0
    action_temperature: tuple[Rate, Rate] = (1.0, 0.5)

    def weights(self, progress: float) -> dict[str, float]:
        """Weights above 0 when a share `progress` of the run is done: raised from 0 over the ramp."""
        ramped = progress - self.quiet
        share = max(0.0, min(1.0, ramped / self.ramp)) if self.ramp else float(ramped >= 0)
        terms = self.model_dump(exclude={"cost", "quiet", "ramp", "action_temperature"})
        return {name: weight * share for name, weight in terms.items() if weight}


class Views(_Section):
    """What each posterior may see of a clip in training (`training.views`); all off is the paper's.

    Of half of the clips the `content_frames` are mirrored, unless a mirrored object is another one. Of a share of the
    clips, content is seen in `content_elsewhere`: in what looks like them and does something else.
    With `content_windows`, content is seen in so many random windows of the clip's recording, and the moments that a
    standardised motion input is freed of are those of four times as many others: were they of the same, z^c would know
    what was taken away, and z^m could say the rest of who speaks. With `new_voices` and `new_clips`, clips and
    recordings are changed before any view: spoken by others; shifted, zoomed, mirrored and coloured as a whole,
    of a share of the clips.
    Of each clip `decoded_frames` are decoded (0: all), of spectra with differences from their recording's mean
    `decoded_depth` times as large as they are. With `decoded_means` the decoder is given what codes are in use, the
    posteriors' means, z^c of all windows, and not draws; encoders rest (`Schedule.learns`), for nothing would make them
    leave a code.
    """

    content_frames: Annotated[int, Field(ge=0)] = 0
    content_mirrored: bool = True
    content_elsewhere: Annotated[float, Field(ge=0, le=1)] = 0
    content_windows: Annotated[int, Field(ge=0)] = 0
    motion_colours: bool = False
    motion_light: bool = True
    motion_voices: bool = False
    new_voices: bool = False
    new_clips: Annotated[float, Field(ge=0, le=1)] = 0
    decoded_frames: Annotated[int, Field(ge=0)] = 0
    decoded_depth: Annotated[float, Field(ge=1, le=2)] = 1
    decoded_means: bool = False


class Schedule(_Section):
    """Iterations and learning rates.

    With `inner_steps` = L > 0 an iteration is that of Algorithms 1 and 2: L updates of critic and encoders, each on a
    batch of its own, then one of decoder and prior. With 0, one update of everything, or of the parts that it `learns`:
    the decoder with the priors, or the priors alone, from weights whose codes are to stay what they are, or with them
    what names the action of z^m.
    """

    iterations: Count
    batch: Count
    inner_steps: Annotated[int, Field(ge=0)] = 0
    learns: tuple[Literal["critic", "encoder", "action", "decoder", "prior"], ...] = (
        "critic",
        "encoder",
        "action",
        "decoder",
    )
    decoder_rate: Rate
    encoder_rate: Rate
    critic_rate: Rate
    decay: Literal["steps", "cosine"]
    decay_at: tuple[int, int] = (0, 0)
    betas: tuple[float, float] = (0.5, 0.9)
    average: Annotated[float, Field(ge=0, lt=1)] = 0

    @model_validator(mode="after")
    def _steps_say_where(self) -> Self:
        if self.decay == "steps" and not 0 < self.decay_at[0] < self.decay_at[1]:
            raise ValueError("decay = 'steps' needs decay_at, the two iterations after which rates fall")
        return self

    @model_validator(mode="after")
    def _alternating_is_all(self) -> Self:
        if not self.learns or (self.inner_steps and len({*self.learns} - {"prior"}) < 4):
            raise ValueError("learns names the parts that one update moves; with inner_steps leave it out")
        return self

    @property
    def action_rate(self) -> float:
        """That of the encoders, of which the action's posterior is one."""
        return self.encoder_rate

    @property
    def prior_rate(self) -> float:
        """That of the decoder, whose phase the priors learn in."""
        return self.decoder_rate

    @property
    def content_prior_rate(self) -> float:
        """Likewise."""
        return self.decoder_rate

    def rate_factor(self, iteration: int) -> float:
        """What the learning rates are multiplied with: ÷2 and then ÷5 more, or a cosine after a short warm-up."""
        if self.decay == "steps":
            return 1.0 if iteration < self.decay_at[0] else 0.5 if iteration < self.decay_at[1] else 0.1
        warm_up = max(1, self.iterations // 20)
        if iteration < warm_up:
            return (iteration + 1) / warm_up
        return 0.5 * (1 + cos(pi * (iteration - warm_up) / max(1, self.iterations - warm_up)))


class Preset(_Section):
    """One way to train one model.

    With `bfloat16` the networks compute in it where the device has it and that is safe (autocast); divergences and
    weights stay in float32.
    """

    name: str
    dataset: Name
    about: str
    model: MethodConfig
    objective: Objective
    views: Views = Views()
    schedule: Schedule
    bfloat16: bool = False

    @property
    def recorded_windows(self) -> int:
        """How many other clips of a clip's recording are seen: content's, then the moments'; or what agrees."""
        return 9 * self.views.content_windows or (AGREEING if self.objective.action_agreement else 0)

    @model_validator(mode="after")
    def _views_are_the_models(self) -> Self:
        speech = len(self.model.frame_shape) == 1
        of_speech = ("content_windows", "motion_voices", "new_voices")
        of_video = ("content_frames", "content_elsewhere", "motion_colours", "new_clips")
        for name in of_video if speech else of_speech:
            if getattr(self.views, name):
                raise ValueError(f"views: {name} is for {'video' if speech else 'speech'}; the model reads the other")
        of_frames = getattr(self.model, "content_posterior", "") in ("patches", "glimpse")
        if self.objective.content_cycle and not (of_frames and self.views.content_frames):
            raise ValueError(
                "objective: content_cycle asks a content posterior of a few frames; set content_posterior = 'patches' "
                "or 'glimpse' and views.content_frames"
            )
        if (self.objective.motion_cycle or self.objective.action_cycle) and getattr(
            self.model, "motion_input", ""
        ) not in ("frames", "contrast"):
            raise ValueError(
                "objective: motion_cycle and action_cycle ask a motion posterior of frames; set motion_input = "
                "'frames' or 'contrast'"
            )
        if self.objective.frame_gan and (speech or "critic" not in self.schedule.learns):
            raise ValueError(
                "objective: frame_gan has a critic of video's frames that learns; leave it out for speech, and name "
                "'critic' in the schedule's learns"
            )
        if self.objective.cost == "spectral_error" and not speech:
            raise ValueError("objective: cost = 'spectral_error' is for speech; pixels take 'squared_error'")
        if self.objective.cost == "moving_error" and speech:
            raise ValueError("objective: cost = 'moving_error' is for video; spectra take 'spectral_error'")
        if self.objective.recording_correlation and (not self.views.content_windows or self.schedule.batch < 8):
            raise ValueError(
                "objective: recording_correlation compares recordings; set views.content_windows, a batch of 8 or more"
            )
        if (self.objective.swap or self.views.decoded_depth > 1) and not self.views.content_windows:
            raise ValueError(
                "objective.swap and views.decoded_depth ask what a clip's recording is on the whole; set "
                "views.content_windows"
            )
        if self.views.decoded_means and (self.schedule.inner_steps or "encoder" in self.schedule.learns):
            raise ValueError(
                "views: with decoded_means nothing makes an encoder leave its codes; set learns = ['decoder']"
            )
        if self.views.motion_voices and getattr(self.model, "motion_input", "frames") != "standardised":
            raise ValueError("views: motion_voices frees motion of the recording; set motion_input = 'standardised'")
        return self

    @model_validator(mode="after")
    def _columns_are_the_datasets(self) -> Self:
        networks = getattr(self.model, "frame_networks", None)
        if isinstance(networks, SpectrumFrames) and networks.spectrum != SpectrumConfig():
            raise ValueError("model: every dataset of speech has the spectrum of the defaults; leave 'spectrum' out")
        return self

    @model_validator(mode="after")
    def _terms_are_the_methods(self) -> Self:
        method = _method(self.model)
        known = _TERMS[method] - (
            set()
            if getattr(self.model, "actions", 0)
            else {"action_kl", "action_agreement", "action_cycle", "drawn_action"}
        )
        if unknown := self.objective.weights(1.0).keys() - known:
            raise ValueError(
                f"objective: {method} does not have {', '.join(sorted(unknown))} here; it has "
                f"{', '.join(sorted(known)) or 'no weighted terms'} (those of the action where the model has actions)"
            )
        return self


def names() -> list[str]:
    """The presets that exist."""
    return sorted(path.relative_to(FOLDER).with_suffix("").as_posix() for path in FOLDER.rglob("*.toml"))


def load(name: str) -> Preset:
    """Reads a preset by name, or a file of one's own by path.

    Raises:
        FileNotFoundError: there is none; the message lists the names.
        ValueError: the file is not a preset; the message names the field.
    """
    path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
    if not path.is_file():
        raise FileNotFoundError(f"no preset '{name}'; there are {', '.join(names())}, or give the path of a .toml file")
    return Preset.model_validate({"name": name.removesuffix(".toml"), **tomllib.loads(path.read_text())})
