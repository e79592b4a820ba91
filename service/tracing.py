"""Traces, where the standard variables of OpenTelemetry ask for them and the extra `otel` is installed."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.edge.context import context_of

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider

logger = logging.getLogger(__name__)

SERVICE_NAME = "rwae"
UNTRACED = "/healthz$,/readyz$,/metrics$"


def install(app: FastAPI) -> None:
    """Traces requests to where `OTEL_EXPORTER_OTLP_ENDPOINT` says, over HTTP; without it nothing happens.

    `OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER` and the others mean what OpenTelemetry says they do.
    """
    named = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(map(os.environ.get, named)) or os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp":
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        logger.error("the environment asks for OpenTelemetry: install it with `pip install 'rwae[otel]'`")
        return
    os.environ.setdefault("OTEL_SERVICE_NAME", SERVICE_NAME)
    provider = TracerProvider()  # it sends what is left when the process ends
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    instrument(app, provider)
    logger.info("requests are traced")


def instrument(app: FastAPI, provider: TracerProvider) -> None:
    """Makes each request but the probes' a span of `provider`, with its request id and the seconds of its stages.

    Has to come before `Named` is added, which gives requests their ids.
    """
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor  # noqa: PLC0415

    app.add_middleware(Traced)
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls=UNTRACED, exclude_spans=["receive", "send"]
    )


class Traced:
    """Says in a request's span what `Named` says in its headers."""

    def __init__(self, app: ASGIApp) -> None:
        from opentelemetry.trace import get_current_span  # noqa: PLC0415

        self.app = app
        self._current_span = get_current_span

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        span, context = self._current_span(), context_of(scope)
        span.set_attribute("rwae.request_id", context.id)

        async def traced(message: Message) -> None:
            if message["type"] == "http.response.start":  # at the end of the answer the span ends
                for stage, took in context.stages.items():
                    span.set_attribute(f"rwae.{stage}_s", took)
            await send(message)

        await self.app(scope, receive, traced)
