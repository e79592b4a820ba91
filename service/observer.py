"""Who wants to know what the engine does, for counters and the like."""

from __future__ import annotations

from typing import Literal, Protocol

Reason = Literal["cancelled", "closed", "deadline", "full", "memory"]
"""Why a work got no answer: nobody waits, shut down, too late, no room in the queue, no memory for it alone."""


class Observer(Protocol):
    """Is told by the engine's threads, at once: it must be quick, and must not raise."""

    def passed(self, model: str, operation: str, frames: int, works: int, seconds: float) -> None:
        """A pass of a model ended: so many frames of so many works took so long."""

    def dropped(self, reason: Reason) -> None:
        """A work left without an answer."""


class Unobserved:
    """Listens to nothing."""

    def passed(self, model: str, operation: str, frames: int, works: int, seconds: float) -> None: ...
    def dropped(self, reason: Reason) -> None: ...
