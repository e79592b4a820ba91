"""What is known of a request from its first byte to its last."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from starlette.types import Scope


@dataclass
class Context:
    """One request.

    Attributes:
        id: As sent or made.
        stages: Seconds that its parts took.
        deadline: When its answer is due (`time.monotonic`).
        rejected: Kind of the problem that it was answered with, None where it got what it asked for.
        client: Stands for who asks, where a key tells.
    """

    id: str
    stages: dict[str, float] = field(default_factory=dict)
    deadline: float = math.inf
    rejected: str | None = None
    client: str | None = None


def context_of(scope: Scope) -> Context:
    """The context that `Named` gave a request."""
    context: Context = scope["state"]["context"]
    return context
