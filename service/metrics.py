"""What the service counts, for Prometheus."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import get_args

import torch
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from service.edge.context import Context
from service.engine import Engine
from service.media import MediaRooms
from service.observer import Observer, Reason
from service.streams import Streams

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})


class Metrics(Observer):
    """Counters of one application, in a registry of their own; `live` and `streams` are looked up beside them."""

    def __init__(self, live: Live, streams: Streams) -> None:
        registry = self._registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        registry.register(live)
        running = Gauge("rwae_streams", "Streams that are being sent", registry=registry)
        running.set_function(lambda: streams.running)
        self._requests = Counter("rwae_requests", "Requests answered", ("route", "method", "status"), registry=registry)
        self._seconds = Histogram(
            "rwae_request_seconds", "From first byte to last", ("route",), buckets=_SECONDS, registry=registry
        )
        self._stages = Histogram(
            "rwae_stage_seconds",
            "Parts of a request: decode, queue, model, encode",
            ("stage",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._rejections = Counter(
            "rwae_rejections", "Requests that were answered with a problem, by its kind", ("reason",), registry=registry
        )
        self.in_flight = Gauge("rwae_requests_in_flight", "Requests that are being answered", registry=registry)
        self._batch_works = Histogram(
            "rwae_batch_size", "Works that shared a pass", buckets=(1, 2, 4, 8, 16, 32, 64), registry=registry
        )
        self._batch_frames = Histogram(
            "rwae_batch_frames",
            "Frames that shared a pass",
            buckets=(8, 16, 32, 64, 128, 256, 512, 1024, 4096),
            registry=registry,
        )
        self._pass_seconds = Histogram(
            "rwae_pass_seconds", "Passes", ("model", "operation"), buckets=_SECONDS, registry=registry
        )
        self._dropped = Counter(
            "rwae_works_dropped", "Works that left the engine without an answer", ("reason",), registry=registry
        )
        for reason in get_args(Reason):
            self._dropped.labels(reason)  # so that it is there before it first happens

    def answered(self, route: str, method: str, status: int, seconds: float, context: Context) -> None:
        """Counts one request."""
        # Whatever a client can make up is no label: each value of one is kept for ever.
        self._requests.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        for stage, took in context.stages.items():
            self._stages.labels(stage).observe(took)
        if context.rejected:
            self._rejections.labels(context.rejected).inc()

    @override
    def passed(self, model: str, operation: str, frames: int, works: int, seconds: float) -> None:
        """Counts one pass of a model."""
        self._batch_works.observe(works)
        self._batch_frames.observe(frames)
        self._pass_seconds.labels(model, operation).observe(seconds)

    @override
    def dropped(self, reason: Reason) -> None:
        """Counts a work that left the engine without an answer."""
        self._dropped.labels(reason).inc()

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class Live(Collector):
    """What is looked up when it is asked for.

    Args:
        engine: The engine, once there is one.
        media: The rooms, once there are any.
        devices: Where models run.
    """

    def __init__(
        self,
        engine: Callable[[], Engine | None],
        media: Callable[[], MediaRooms | None],
        devices: Sequence[torch.device],
    ) -> None:
        self._engine = engine
        self._media = media
        self._devices = devices

    def collect(self) -> Iterator[Metric]:
        """The values of this moment."""
        engine, media = self._engine(), self._media()
        yield GaugeMetricFamily("rwae_queue_length", "Works that wait for the model", engine.waiting if engine else 0)
        yield GaugeMetricFamily(
            "rwae_uploads_decoding", "Uploads that are decoded or wait for it", media.decoding if media else 0
        )
        restarts = CounterMetricFamily(
            "rwae_media_worker_restarts", "Decoding processes that were replaced", labels=["reason"]
        )
        for reason, count in media.restarts.items() if media else ():
            restarts.add_metric([reason], count)
        yield restarts
        memory = GaugeMetricFamily(
            "rwae_device_memory_bytes", "Memory of tensors on a GPU; of the whole process on the CPU", labels=["device"]
        )
        for device in self._devices:
            memory.add_metric([str(device)], _memory(device))
        yield memory
        models = GaugeMetricFamily("rwae_model_info", "Models served", labels=["model", "modality", "default"])
        for model in engine.library.models.values() if engine else ():
            default = engine is not None and model.id in engine.library.defaults.values()
            models.add_metric([model.id, model.modality, str(default).lower()], 1)
        yield models


def _memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except OSError:  # no Linux
        return 0
