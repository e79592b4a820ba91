"""What resumes a run: one file, replaced atomically, read without running code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from rwae_core.weights import write_atomically

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
    """The state of the run in `folder`, or None where there is none. Generator states stay on the CPU."""
    path = folder / FILE
    if not path.exists():
        return None
    return torch.load(path, map_location=device, weights_only=True)
