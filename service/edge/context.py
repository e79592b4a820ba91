"""What is known of a request from its first byte to its last."""

from __future__ import annotations

import math
import re
import uuid
from dataclasses import dataclass, field
from typing import Self

from starlette.datastructures import Headers
from starlette.types import Scope

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


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

    @classmethod
    def of(cls, headers: Headers) -> Self:
        """The context of a request with these headers: named as they say, where that is a name, or anew."""
        asked = headers.get("x-request-id", "")
        return cls(asked if _REQUEST_ID.fullmatch(asked) else uuid.uuid4().hex)


def context_of(scope: Scope) -> Context:
    """The context that `Named` gave a request."""
    context: Context = scope["state"]["context"]
    return context
