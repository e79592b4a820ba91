"""What /metrics says, and what the dashboard and traces make of it."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families
from serving import ROOT, apng, metric, serving, wait_for

from service import tracing
from service.app import create_app
from service.errors import KINDS
from service.library import Library
from service.settings import Settings

ALERTS = ROOT / "deploy" / "prometheus" / "alerts.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "rwae.json"
PROMETHEUS_OWN = {"job", "instance", "le"}
"""Labels that are not the service's: Prometheus gives the first two, and `le` is a bucket's."""


def samples(client) -> dict[str, set[str]]:
    """Each exported sample's name, with the labels that it has."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_requests_stages_and_reasons_are_counted(client, library: Library):
    def before_and_after(name, ask, **labels):
        before = metric(client, name, **labels)
        ask()
        wait_for(lambda: metric(client, name, **labels) > before)  # it is counted once the answer is sent
        return metric(client, name, **labels) - before

    def encode():
        client.post("/encode", files={"file": apng(1)}).raise_for_status()

    for stage in ("decode", "queue", "model", "encode"):
        assert before_and_after("rwae_stage_seconds_count", encode, stage=stage) == 1
    assert before_and_after("rwae_requests_total", encode, route="/encode", method="POST", status="200") == 1
    assert before_and_after("rwae_request_seconds_count", encode, route="/encode") == 1
    for reason, ask in {
        "undecodable-media": lambda: client.post("/encode", files={"file": b""}),
        "invalid-field": lambda: client.post("/generate", json={"n": 0}),
        "unknown-model": lambda: client.post("/generate", json={"model": "nobody"}),
        "not-found": lambda: client.get("/nothing"),
    }.items():
        assert before_and_after("rwae_rejections_total", ask, reason=reason) == 1
    wait_for(lambda: metric(client, "rwae_requests_in_flight") == 1)  # the one that asks
    wait_for(lambda: metric(client, "rwae_uploads_decoding") == 0)
    assert metric(client, "rwae_device_memory_bytes", device="cpu") > 2**20
    assert metric(client, "process_resident_memory_bytes") > 2**20
    assert metric(client, "rwae_queue_length") == 0
    for model in library.models.values():
        labels = {"model": model.id, "modality": "video", "default": str(model.id == "colour").lower()}
        assert metric(client, "rwae_model_info", **labels) == 1


def test_what_clients_make_up_is_no_label(client):
    for number in range(3):
        client.request(f"MADE{number}UP", f"/made-up-{number}")
    exported = client.get("/metrics").text
    assert "made-up" not in exported.lower()
    assert not re.search(r"MADE\dUP", exported)
    wait_for(lambda: metric(client, "rwae_requests_total", method="other", route="none") >= 3)


def assert_exported(expression: str, exported: dict[str, set[str]]) -> None:
    """What an expression asks for, by names and labels, is there."""
    names = re.findall(r"\b(?:rwae|process)_\w+", expression)
    assert names or expression.startswith("up{"), expression
    assert set(names) <= set(exported), expression
    labels = {label for part in re.findall(r"\{(.*?)\}", expression) for label in re.findall(r"(\w+)\s*[=!]", part)}
    labels |= {label.strip() for part in re.findall(r"\bby \((.*?)\)", expression) for label in part.split(",")}
    assert labels - PROMETHEUS_OWN <= set().union(*(exported[name] for name in names)), expression


def test_alerts_are_about_what_there_is(client):
    """Each of their expressions and reasons, and the guide has all of them."""
    client.post("/encode", files={"file": apng(1)}).raise_for_status()
    client.get("/nothing")
    exported = samples(client)
    (group,) = yaml.safe_load(ALERTS.read_text())["groups"]
    for rule in group["rules"]:
        assert_exported(rule["expr"], exported)
        for reason in re.findall(r'reason="(.*?)"', rule["expr"]):
            assert reason in {kind.name for kind in KINDS.values()}
    guide = (ROOT / "docs" / "deployment.md").read_text()
    assert re.findall(r"^\| `(Rwae\w+)` \|", guide, re.MULTILINE) == [rule["alert"] for rule in group["rules"]]


def test_the_dashboard_shows_what_there_is(client):
    """Each of its expressions, by names and labels."""
    client.post("/encode", files={"file": apng(1)}).raise_for_status()
    client.get("/nothing")
    exported = samples(client)
    dashboard = json.loads(DASHBOARD.read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += [item["definition"] for item in dashboard["templating"]["list"] if "definition" in item]
    assert len(expressions) > 15
    for expression in expressions:
        assert_exported(expression, exported)
    shown = {name for expression in expressions for name in re.findall(r"\brwae_\w+", expression)}
    own = {re.sub(r"_(bucket|sum|count|created|total)$", "", name) for name in exported if name.startswith("rwae_")}
    assert own == {re.sub(r"_(bucket|sum|count|total)$", "", name) for name in shown}, "nothing is counted for nobody"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))


class TestTraces:
    def test_a_request_is_a_span_with_its_id(self, weights_dir, monkeypatch):
        spans, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(spans))
        monkeypatch.setattr(tracing, "install", lambda app: tracing.instrument(app, provider))
        with serving(create_app(Settings(weights_dir=weights_dir, decode_workers=1, threads=1))) as client:
            trace = "0af7651916cd43dd8448eb211c80319c"
            headers = {"X-Request-ID": "mine", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
            client.post("/encode", files={"file": ("secret-name", apng(1))}, headers=headers).raise_for_status()
            client.get("/healthz")
            wait_for(lambda: len(spans.get_finished_spans()) > 0)
        (span,) = spans.get_finished_spans()
        assert span.name == "POST /encode"
        assert f"{span.context.trace_id:032x}" == trace
        assert span.attributes["rwae.request_id"] == "mine"
        assert span.attributes["rwae.model_s"] > 0
        assert "secret-name" not in span.to_json()

    @pytest.mark.parametrize(
        "environment", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:1", "OTEL_SDK_DISABLED": "true"}]
    )
    def test_nothing_is_traced_unasked(self, weights_dir, monkeypatch, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert not any(layer.cls is tracing.Traced for layer in create_app(Settings()).user_middleware)

    def test_the_environment_asks(self, monkeypatch):
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
        assert any(layer.cls is tracing.Traced for layer in create_app(Settings()).user_middleware)
