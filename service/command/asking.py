"""Who answers a command: a service elsewhere, or the same application within this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from httpx import ASGITransport
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from rwae_client import AsyncClient, Retries
from service.command.failure import LATER, CommandError, told

if TYPE_CHECKING:
    from fastapi import FastAPI

AT_ONCE = 4
"""Requests of one command that run at once: enough for the service to join them."""
LOADING_S = 300.0
UNSHARED: dict[str, Any] = {
    "max_upload_mb": 1024,
    "max_frames": 100_000,
    "max_pixels": 1 << 26,
    "max_seconds": 3600,
    "max_generate": 1_000_000,
    "request_timeout_s": 3600,
    "decode_workers": 2,
}
"""Settings where nobody else is kept waiting; those in the environment go before."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Where:
    """Who is asked.

    Attributes:
        url: A service; none: this process.
        api_key: Its key.
        weights: What this process reads; as `RWAE_WEIGHTS_DIR` says where absent.
    """

    url: str | None
    api_key: str | None
    weights: Path | None

    def ask(self, work: Callable[[AsyncClient, Meter], Coroutine[Any, Any, Result]]) -> Result:
        """The result of work that asks a client, told of on a terminal while it goes on.

        Raises:
            typer.Exit: it failed, and the reason has been told.
        """

        async def run() -> Result:
            with Meter() as meter:
                async with self._client(meter) as client:
                    return await work(client, meter)

        with told():
            return asyncio.run(run())

    @asynccontextmanager
    async def _client(self, meter: Meter) -> AsyncIterator[AsyncClient]:
        if self.url is not None:
            async with AsyncClient(self.url, api_key=self.api_key) as client:
                yield client
            return
        meter.say("Loading the models")
        app = _app(self.weights)
        async with app.router.lifespan_context(app):
            transport = ASGITransport(app, raise_app_exceptions=False)
            async with AsyncClient("http://rwae", timeout_s=None, retries=Retries(0), transport=transport) as client:
                await _loaded(app)
                yield client


class Meter:
    """A bar on a terminal's standard error; silent anywhere else."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("Connecting", total=None)

    def __enter__(self) -> Meter:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def say(self, what: str, total: int | None = None) -> None:
        """Begins something that has so many parts."""
        self._progress.reset(self._task, total=total, description=what)

    async def each(self, what: str, items: Iterable[Item], work: Callable[[Item], Awaitable[Result]]) -> list[Result]:
        """Results in the order of their items, a few at once; the first error ends it."""
        parts = list(items)
        self.say(what, len(parts))
        room = asyncio.Semaphore(AT_ONCE)

        async def one(item: Item) -> Result:
            async with room:
                result = await work(item)
            self._progress.advance(self._task)
            return result

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(item)) for item in parts]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]


def _app(weights: Path | None) -> FastAPI:
    """The application with the settings of one who has the machine alone."""
    try:
        from service import logs  # noqa: PLC0415  torch takes seconds, which a distant service spares
        from service.app import create_app  # noqa: PLC0415
        from service.devices import DeviceError  # noqa: PLC0415
        from service.start import StartError, read_settings  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise CommandError(
            f"Models in this process need '{error.name}', which is not installed: pip install 'rwae[serve]', "
            "or name a service with --url."
        ) from error
    given = {} if weights is None else {"weights_dir": weights}
    try:
        told_by_environment = read_settings(**given).model_fields_set
        own = {name: value for name, value in UNSHARED.items() if name not in told_by_environment}
        settings = read_settings(**given, **own, api_keys=())
        logs.configure(settings.log_format, "error")
        return create_app(settings)
    except (StartError, DeviceError) as error:
        raise CommandError(str(error)) from error


async def _loaded(app: FastAPI) -> None:
    """Waits until the models are there; whether there are any, answers will tell."""
    end = time.monotonic() + LOADING_S
    while app.state.engine is None:
        if time.monotonic() > end:
            raise CommandError("The models cannot be loaded; what is logged above says why.", LATER)
        await asyncio.sleep(0.02)
