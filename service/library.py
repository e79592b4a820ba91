"""The models that are served: a weights folder, read once."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.errors import RwaeError
from rwae_core.media.sniff import Modality
from rwae_core.model import RWAE
from rwae_core.weights import WeightsConfig, load_weights
from service.verbs import audio, video
from service.verbs.base import Codes

logger = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class UnknownModelError(Exception):
    """No model of this name is served."""


class NoModelError(Exception):
    """No model is served at all."""


@dataclass(frozen=True)
class Model:
    """One model: its name, what its folder says about it, and its networks, one on each device."""

    id: str
    weights: WeightsConfig
    networks: Mapping[torch.device, RWAE]

    @property
    def config(self) -> ModelConfig:
        """Shapes and structure of the model."""
        return self.weights.model

    @property
    def modality(self) -> Modality:
        """What the model reads and makes."""
        return "audio" if isinstance(self.config.frame_networks, SpectrumFrames) else "video"


@dataclass(frozen=True)
class Library:
    """Models by name, and which of them serves requests of a modality that name none."""

    models: Mapping[str, Model] = field(default_factory=dict)
    defaults: Mapping[Modality, str] = field(default_factory=dict)

    def find(self, name: str | None, modality: Modality = "video") -> Model:
        """The model of that name, or where it is None or empty the modality's default.

        Raises:
            UnknownModelError: there is no such model; the message lists those there are.
            NoModelError: there is no model at all.
        """
        self.check_any()
        if not name and modality not in self.defaults:
            raise UnknownModelError(
                f"There is no {modality} model; name one of those served: {', '.join(self.models)}."
            )
        model = self.models.get(name or self.defaults[modality])
        if model is None:
            raise UnknownModelError(f"There is no model of that name; served are: {', '.join(self.models)}.")
        return model

    def check_any(self) -> None:
        """Raises NoModelError where there is no model at all."""
        if not self.models:
            raise NoModelError("No model is loaded; the log of the service says why.")


def load_library(
    folder: Path,
    devices: Sequence[torch.device],
    default_video: str | None = None,
    default_audio: str | None = None,
) -> Library:
    """Reads every model of a weights folder onto every device and tries it; what is broken is logged and left out.

    Args:
        folder: One folder for each model, as `rwae_core.weights` writes them.
        devices: Where the networks go.
        default_video: The model for requests that name none; the first by name where it is absent or broken.
        default_audio: The same for audio.
    """
    models: dict[str, Model] = {}
    try:
        candidates = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        logger.error("the weights folder '%s' cannot be read: %s", folder.name, error.strerror)
        candidates = []
    for candidate in candidates:
        if not _ID.fullmatch(candidate.name):
            logger.error("weights folder %r skipped: name it with letters, digits, '.', '_' and '-'", candidate.name)
            continue
        try:
            loaded = {device: load_weights(candidate, device) for device in devices}
            for network, weights in loaded.values():
                _warm_up(network, weights.model)
        except (RwaeError, OSError, RuntimeError, ValueError) as error:
            logger.error("weights '%s' skipped: %s", candidate.name, error)
            continue
        networks = {device: network for device, (network, _) in loaded.items()}
        models[candidate.name] = Model(candidate.name, loaded[devices[0]][1], networks)
        logger.info("weights '%s' loaded", candidate.name)
    defaults: dict[Modality, str] = {}
    wishes: tuple[tuple[Modality, str | None], ...] = (("video", default_video), ("audio", default_audio))
    for modality, wished in wishes:
        found = [model.id for model in models.values() if model.modality == modality]
        if wished is not None and wished not in found:
            names = ", ".join(found) or "none"
            logger.error("the default model '%s' is not among the %s models loaded: %s", wished, modality, names)
        if found:
            defaults[modality] = wished if wished in found else found[0]
    return Library(models, defaults)


@torch.inference_mode()
def _warm_up(network: RWAE, config: ModelConfig) -> None:
    """Runs each verb once: it proves that the model works, and no request pays for lazy initialisation."""
    codes = Codes(
        np.zeros(config.content_dim, np.float32),
        np.zeros((config.frames, config.motion_dim), np.float32),
        np.zeros(config.actions, np.float32) if config.actions else None,
    )
    if isinstance(config.frame_networks, SpectrumFrames):
        wave = np.zeros(config.frames * config.frame_networks.spectrum.hop, np.float32)
        audio.Encode.run(network, [audio.Encode(wave)])
        audio.Decode.run(network, [audio.Decode(codes)])
        audio.Swap.run(network, [audio.Swap(wave, wave)])
        audio.Generate.run(network, [audio.Generate(1, config.frames, seed=0)])
    else:
        clip = np.zeros((config.frames, config.size, config.size, config.channels), np.uint8)
        video.Encode.run(network, [video.Encode(clip)])
        video.Decode.run(network, [video.Decode(codes)])
        video.Swap.run(network, [video.Swap(clip, clip)])
        video.Generate.run(network, [video.Generate(1, config.frames, seed=0)])
