"""The same application on Ray Serve, a replica for each GPU or share of a host's CPUs; needs the extra `cluster`.

    serve run service.cluster:build replicas=2 cpus=1

Ray's proxy takes requests, bounds how many wait, and gives each to the replica with the fewest. What a replica has of
its own, and so does not know of the others': engine and queue, decoding processes, models in memory, `/metrics`,
`/readyz`, `RWAE_MAX_PER_CLIENT`. Settings are the environment's of each replica's host, but for address and port,
which are the proxy's.
"""

# No `from __future__ import annotations`: Ray reads at run time what `build` takes.
import math
import os
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.config import AutoscalingConfig, BackpressureConfig
from ray.serve.deployment import Application

from rwae_core.memory import keep_freed_memory
from service import logs
from service.app import create_app
from service.edge import proxied
from service.settings import Settings

ONGOING = 32
"""Requests that a replica has at once: enough to fill its passes, and fewer than its own queue would turn away."""
QUEUED = 64
"""Requests that may wait at each proxy for a replica that has room; the next is a 429."""
RETRY_AFTER_S = 2
AT_PROXY = f"{proxied.__name__}.{proxied.at_proxy.__name__}"
STREAM_S = 60
"""Seconds after which a stream ends, unless a setting says otherwise: Ray's proxy takes what a replica sends, and keeps
what its client does not read."""
LEAVES_S = 5
"""What a replica may take to end beyond the time that it gives its requests."""
ONE_ARENA = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": f"{2**31 - 1}",
    "MALLOC_MMAP_THRESHOLD_": f"{2**31 - 1}",
}
"""`rwae_core.memory.keep_freed_memory` for a process that has threads before any code of ours runs."""


class Size(BaseModel):
    """What `serve run service.cluster:build name=value …` takes, and `args` in a configuration of Serve."""

    model_config = ConfigDict(extra="forbid")

    replicas: int = Field(1, ge=1, description="replicas, or with `max_replicas` the least there are")
    max_replicas: int | None = Field(None, ge=1, description="replicas there may be; none: always `replicas`")
    cpus: float = Field(1, gt=0, description="CPUs of each, which are its threads too")
    gpus: float = Field(0, ge=0, description="GPUs of each; 0: it runs on its CPUs")


def build(size: Size) -> Application:
    """The application for `serve run`, made in each replica, so that nothing but its name is sent there."""
    # A cluster that `serve run` starts for this inherits it; one that runs, or reads a file, has to have it already.
    os.environ.setdefault("RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH", AT_PROXY)
    many: dict[str, Any] = (
        {"num_replicas": size.replicas}
        if size.max_replicas is None
        else {
            "autoscaling_config": AutoscalingConfig(
                min_replicas=size.replicas,
                max_replicas=size.max_replicas,
                target_ongoing_requests=ONGOING / 2,
                upscale_delay_s=10,
                downscale_delay_s=300,
            )
        }
    )
    return Replica.options(  # type: ignore[attr-defined]
        ray_actor_options={"num_cpus": size.cpus, "num_gpus": size.gpus, "runtime_env": {"env_vars": ONE_ARENA}},
        graceful_shutdown_timeout_s=Settings().grace_s + LEAVES_S,
        **many,
    ).bind()


def _application() -> FastAPI:
    """The application, within its replica's share of the host."""
    keep_freed_memory()
    settings = Settings()
    mine = ray.get_runtime_context().get_assigned_resources()
    own = {
        "threads": max(1, math.floor(mine.get("CPU", 1))),
        "device": ("auto",) if mine.get("GPU") else ("cpu",),
        "max_stream_s": STREAM_S,
    }
    settings = settings.model_copy(
        update={name: value for name, value in own.items() if name not in settings.model_fields_set}
    )
    logs.configure(settings.log_format, settings.log_level)
    return create_app(settings)


@serve.deployment(
    name="rwae",
    max_ongoing_requests=ONGOING,
    max_queued_requests=QUEUED,
    backpressure_config=BackpressureConfig(status_code=429, retry_after_s=RETRY_AFTER_S),
    health_check_period_s=5,
    health_check_timeout_s=30,
)
@serve.ingress(_application)
class Replica:
    """One process with the application; Ray makes another where it dies, or does not answer."""

    app: FastAPI

    async def check_health(self) -> None:
        """Waits, when it is first asked, until the models are loaded: before, a replica gets no requests.

        Raises:
            RuntimeError: they cannot be loaded; the log says why.
        """
        await self.app.state.loading
        if self.app.state.engine is None:
            raise RuntimeError("the models cannot be loaded; the log of the replica says why")
