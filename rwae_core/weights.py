"""Weights on disk: a folder a model, `model.safetensors` beside a `config.json` that says how to read it.

`config.json` holds the model's configuration, the sha256 of the weights, what `/models` shows (card line, metrics),
and the version of this layout. Only safetensors is read: nothing in a weights folder can run code.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch.overrides import TorchFunctionMode

from rwae_core.config import ModelConfig
from rwae_core.errors import WeightsError
from rwae_core.model import RWAE

WEIGHTS_FILE, CONFIG_FILE = "model.safetensors", "config.json"


class WeightsConfig(BaseModel):
    """Contents of `config.json`.

    `dataset` is what the model was trained on, by its name in training's catalogue: what evaluation judges it on. Empty
    where nobody said.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    model: ModelConfig
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    card: str = ""
    dataset: str = ""
    metrics: dict[str, float] = {}


def save_weights(
    folder: Path, model: RWAE, card: str = "", metrics: dict[str, float] | None = None, dataset: str = ""
) -> WeightsConfig:
    """Writes the weights and their configuration; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()})
    config = WeightsConfig(
        model=model.config, sha256=hashlib.sha256(data).hexdigest(), card=card, dataset=dataset, metrics=metrics or {}
    )
    write_atomically(folder / WEIGHTS_FILE, data)
    write_atomically(folder / CONFIG_FILE, (config.model_dump_json(indent=2) + "\n").encode())
    return config


def load_weights(folder: Path, device: torch.device | str = "cpu") -> tuple[RWAE, WeightsConfig]:
    """Rebuilds a model from its folder, on `device`, ready to use (in evaluation mode, without gradients).

    Raises:
        WeightsError: a file is missing, damaged (sha256), or does not hold exactly this model's parameters.
    """
    config = read_config(folder)
    path = folder / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path.name} of weights '{folder.name}' cannot be read: {error.strerror}") from error
    if hashlib.sha256(data).hexdigest() != config.sha256:
        raise WeightsError(f"{path.name} of weights '{folder.name}' is damaged: its sha256 is not the configuration's")
    with torch.device("meta"), _NotDrawn():
        model = RWAE(config.model)
    try:
        model.load_state_dict(load(data), strict=True, assign=True)
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path.name} of weights '{folder.name}' does not fit its {CONFIG_FILE}: {error}") from error
    return model.to(device=device, dtype=torch.float32).eval().requires_grad_(False), config


class _NotDrawn(TorchFunctionMode):
    """Normal draws are left out: on the meta device torch imports its compiler for them, which takes a second."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func.__name__ == "normal_":  # of torch.nn.init or of a tensor
            return args[0] if args else kwargs["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **kwargs)


def read_config(folder: Path) -> WeightsConfig:
    """Reads and validates `config.json` alone.

    Raises:
        WeightsError: the file is missing or invalid; the message names the field.
    """
    path = folder / CONFIG_FILE
    try:
        return WeightsConfig.model_validate(json.loads(path.read_bytes()))
    except OSError as error:
        raise WeightsError(f"{path.name} of weights '{folder.name}' cannot be read: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise WeightsError(f"{path.name} of weights '{folder.name}' is invalid: {error}") from error


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file beside its destination, flushes it to disk and renames it into place."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
