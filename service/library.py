"""The models that are served: a weights folder, read once."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from rwae_core.config import ModelConfig
from rwae_core.errors import RwaeError
from rwae_core.model import RWAE
from rwae_core.weights import WeightsConfig, load_weights
from service.verbs import Codes, Decode, Encode, Generate, Swap

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


@dataclass(frozen=True)
class Library:
    """Models by name, and which of them serves requests that name none."""

    models: Mapping[str, Model] = field(default_factory=dict)
    default: str | None = None

    def find(self, name: str | None) -> Model:
        """The model of that name, or the default.

        Raises:
            UnknownModelError: there is no such model; the message lists those there are.
            NoModelError: there is no model.
        """
        if self.default is None:
            raise NoModelError("No model is loaded; the log of the service says why.")
        model = self.models.get(name or self.default)
        if model is None:
            raise UnknownModelError(f"There is no model of that name; served are: {', '.join(self.models)}.")
        return model


def load_library(folder: Path, devices: Sequence[torch.device], default: str | None = None) -> Library:
    """Reads every model of a weights folder onto every device and tries it; what is broken is logged and left out.

    Args:
        folder: One folder for each model, as `rwae_core.weights` writes them.
        devices: Where the networks go.
        default: The model for requests that name none; the first by name where it is absent or broken.
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
    if default is not None and default not in models:
        logger.error("the default model '%s' is not among those loaded: %s", default, ", ".join(models) or "none")
        default = None
    return Library(models, default or next(iter(models), None))


@torch.inference_mode()
def _warm_up(network: RWAE, config: ModelConfig) -> None:
    """Runs each verb once: it proves that the model works, and no request pays for lazy initialisation."""
    clip = np.zeros((config.frames, config.size, config.size, config.channels), np.uint8)
    codes = Codes(
        np.zeros(config.content_dim, np.float32),
        np.zeros((config.frames, config.motion_dim), np.float32),
        np.zeros(config.actions, np.float32) if config.actions else None,
    )
    Encode.run(network, [Encode(clip)])
    Decode.run(network, [Decode(codes)])
    Swap.run(network, [Swap(clip, clip)])
    Generate.run(network, [Generate(1, config.frames, seed=0)])
