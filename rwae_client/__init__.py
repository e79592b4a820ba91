"""A client of the service: `Client` waits for answers, `AsyncClient` is awaited; both have the same calls.

    >>> from rwae_client import Client
    >>> with Client("http://localhost:8000") as client:
    ...     client.swap("examples/walk.mp4", "examples/spellcard.mp4", scale=4).save("swap.mp4")

It needs httpx and nothing else of this repository.
"""

from rwae_client.client import AsyncClient, Client
from rwae_client.errors import ProblemError, ServiceError, TooSlowError, UnreachableError
from rwae_client.results import AudioShape, Clip, Codes, Encoding, Items, Model, Swaps, VideoShape
from rwae_client.retries import Retries

__all__ = [
    "AsyncClient",
    "AudioShape",
    "Client",
    "Clip",
    "Codes",
    "Encoding",
    "Items",
    "Model",
    "ProblemError",
    "Retries",
    "ServiceError",
    "Swaps",
    "TooSlowError",
    "UnreachableError",
    "VideoShape",
]
