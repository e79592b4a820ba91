"""What resumes a run: one file, replaced atomically, read without running code. Weights on disk are another thing."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from rwae_core.weights import CONFIG_FILE, load_weights, write_atomically
from training import methods
from training.preset import Preset

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Writes the state of a run over the one before; a kill at any moment leaves one of the two whole.

    Raises:
        OSError: the disk is full or the folder cannot be written; the checkpoint before is untouched.
    """
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(folder / FILE, buffer.getvalue())


def load(folder: Path, device: torch.device | str = "cpu") -> dict[str, Any] | None:
    """The state of the run in `folder`, or None where there is none."""
    path = folder / FILE
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)


def load_model(folder: Path, device: torch.device | str = "cpu") -> methods.Model:
    """The model of a weights folder, or the averaged model of a run, ready to use.

    Raises:
        FileNotFoundError: the folder is neither.
        WeightsError: the weights are damaged.
    """
    if (folder / CONFIG_FILE).exists():
        return load_weights(folder, device)[0]
    state = load(folder, device)
    if state is None:
        raise FileNotFoundError(f"{folder} holds neither weights ({CONFIG_FILE}) nor a run ({FILE})")
    model = methods.build(Preset.model_validate(state["run"]["preset"]).model)
    average = {name.removeprefix("module."): value for name, value in state["average"].items() if name != "n_averaged"}
    model.load_state_dict(average)
    return model.to(device).eval().requires_grad_(False)
