"""The models that are served: by name, and which of them is the default of its modality."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.media.sniff import Modality
from rwae_core.model import RWAE
from rwae_core.weights import WeightsConfig

logger = logging.getLogger(__name__)

SHIPPED: Mapping[Modality, str] = {"video": "sprites", "audio": "librispeech"}
"""Of the models that come with the project, those whose swaps are best: the defaults unless another is asked for."""


class UnknownModelError(Exception):
    """No model of this name is served."""


class NoModelError(Exception):
    """No model is served at all."""


@dataclass(frozen=True, eq=False)
class Model:
    """One model: its name, what its folder says about it, and its networks, one on each device.

    Another version of it is another `Model`: whoever has this one finishes on it.
    """

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
class _Shelf:
    """What is served at one moment."""

    models: Mapping[str, Model] = field(default_factory=dict)
    defaults: Mapping[Modality, str] = field(default_factory=dict)


class Library:
    """Models by name, and which of them serves requests of a modality that name none.

    Models may come and go at any time; each answer is of one moment.

    Args:
        default_video: The model for requests that name none. Where it is not there or not said, it is what is shipped,
            and without that the first by name.
        default_audio: The same for audio.
    """

    def __init__(self, default_video: str | None = None, default_audio: str | None = None) -> None:
        self._wishes: Mapping[Modality, str | None] = {"video": default_video, "audio": default_audio}
        self._shelf = _Shelf()  # replaced as a whole, never changed
        self._changing = threading.Lock()

    @property
    def models(self) -> Mapping[str, Model]:
        """All models, sorted by name; this mapping does not change."""
        return self._shelf.models

    @property
    def defaults(self) -> Mapping[Modality, str]:
        """The default model of each modality that there is a model of; this mapping does not change."""
        return self._shelf.defaults

    def find(self, name: str | None, modality: Modality = "video") -> Model:
        """The model of that name, or where it is None or empty the modality's default.

        Raises:
            UnknownModelError: there is no such model; the message lists those there are.
            NoModelError: there is no model at all.
        """
        shelf = self._shelf
        _check_any(shelf)
        if not name and modality not in shelf.defaults:
            raise UnknownModelError(
                f"There is no {modality} model; name one of those served: {', '.join(shelf.models)}."
            )
        model = shelf.models.get(name or shelf.defaults[modality])
        if model is None:
            raise UnknownModelError(f"There is no model of that name; served are: {', '.join(shelf.models)}.")
        return model

    def check_any(self) -> None:
        """Raises NoModelError where there is no model at all."""
        _check_any(self._shelf)

    def put(self, model: Model) -> Model | None:
        """Serves a model from now on; returns the one of its name that it takes the place of."""
        with self._changing:
            old = self._shelf.models.get(model.id)
            self._serve([each for each in self._shelf.models.values() if each is not old] + [model])
            return old

    def remove(self, name: str) -> Model | None:
        """Serves a model no more; returns it, or None where there was none of that name."""
        with self._changing:
            old = self._shelf.models.get(name)
            self._serve(each for each in self._shelf.models.values() if each is not old)
            return old

    def log_defaults(self) -> None:
        """Says which of the defaults that were asked for are not there."""
        for modality, wished in self._wishes.items():
            if wished is not None and self.defaults.get(modality) != wished:
                names = ", ".join(each.id for each in self.models.values() if each.modality == modality) or "none"
                logger.error("the default model '%s' is not among the %s models loaded: %s", wished, modality, names)

    def _serve(self, models: Iterable[Model]) -> None:
        shelf = {model.id: model for model in sorted(models, key=lambda model: model.id)}
        defaults: dict[Modality, str] = {}
        for modality, wished in self._wishes.items():
            found = [model.id for model in shelf.values() if model.modality == modality]
            if found:
                defaults[modality] = next(name for name in (wished, SHIPPED[modality], found[0]) if name in found)
        self._shelf = _Shelf(shelf, defaults)


def _check_any(shelf: _Shelf) -> None:
    if not shelf.models:
        raise NoModelError("No model is loaded; the log of the service says why.")
