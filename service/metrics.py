"""What the service counts, for Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """Counters of one application, in a registry of their own.

    Args:
        waiting: Tells how many works are in the queue.
    """

    def __init__(self, waiting: Callable[[], float]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "rwae_requests", "Requests answered", ("route", "method", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "rwae_request_seconds", "From first byte to last", ("route",), buckets=_SECONDS, registry=self._registry
        )
        self._stages = Histogram(
            "rwae_stage_seconds",
            "Parts of a request: decode, queue, model, encode",
            ("stage",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.batch = Histogram(
            "rwae_batch_size", "Works that shared a pass", buckets=(1, 2, 4, 8, 16, 32, 64), registry=self._registry
        )
        Gauge("rwae_queue_length", "Works that wait for the model", registry=self._registry).set_function(waiting)

    def answered(self, route: str, method: str, status: int, seconds: float, stages: Mapping[str, float]) -> None:
        """Counts one request."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        for stage, took in stages.items():
            self._stages.labels(stage).observe(took)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)
