"""When memory is short, and how that is told."""

from __future__ import annotations

import torch

_SIGNS = ("out of memory", "not enough memory", "can't allocate memory", "alloc_failed")
"""What the allocators of CPUs and the libraries of GPUs say, who raise a plain RuntimeError."""


class MemoryShortError(Exception):
    """The device's memory does not suffice for this work, although it was alone."""

    def __init__(self) -> None:
        super().__init__("There was not enough memory for this request: try again soon, or ask for less.")


def is_short_of_memory(error: Exception) -> bool:
    """Whether it was memory that was missing, of whichever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _SIGNS)
