"""What resumes a run: one file, replaced atomically, read without running code. Weights on disk are another thing."""

from __future__ import annotations

import copy
import io
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from rwae_core.weights import CONFIG_FILE, load_weights, write_atomically
from training import methods
from training.preset import METHOD_CONFIG

FILE = "checkpoint.pt"


class Writer:
    """Writes the checkpoints of a run while it goes on; leaving the context waits for the last one.

    What it raises, `save` raises at the next checkpoint or the context at its end.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._last: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown()
        if error is None:  # else that is what went wrong first
            self._wait()

    def save(self, state: dict[str, Any]) -> None:
        """Begins to write `state` as it is now, once the checkpoint before is written.

        Raises:
            OSError: that one could not be: the disk is full or the folder cannot be written.
        """
        self._wait()
        self._last = self._thread.submit(save, self._folder, copy.deepcopy(state))

    def _wait(self) -> None:
        if self._last is not None:
            self._last.result()


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
    model = methods.build(METHOD_CONFIG.validate_python(state["run"]["preset"]["model"]))
    model.load_state_dict(state["average"])
    return model.to(device).eval().requires_grad_(False)
