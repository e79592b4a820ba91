"""Keys, and pages of other origins."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from pydantic import ValidationError
from serving import CPU, apng, held, serving, wait_for
from test_errors import problem

from service.app import create_app
from service.engine import Engine
from service.settings import Settings


@pytest.fixture(scope="module")
def guarded(weights_dir):
    settings = Settings(
        weights_dir=weights_dir,
        decode_workers=1,
        api_keys="first-key,second-key",
        metrics_key="metrics-key",
        cors_origins="https://a.example, https://b.example",
    )
    with serving(create_app(settings)) as client:
        yield client


def test_keys_open(guarded):
    for headers in (
        {"Authorization": "Bearer first-key"},
        {"Authorization": "bearer second-key"},
        {"X-API-Key": "second-key"},
    ):
        assert guarded.get("/models", headers=headers).status_code == 200
        assert guarded.post("/generate", json={}, headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": ""},
        {"X-API-Key": "first-ke"},
        {"X-API-Key": "first-key,second-key"},
        {"X-API-Key": "metrics-key"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic first-key"},
    ],
)
def test_without_a_key_nothing_is_done(guarded, headers):
    for response in (
        guarded.get("/models", headers=headers),
        guarded.post("/generate", json={}, headers=headers),
        guarded.post("/swap", files={"content": apng(1), "motion": apng(2)}, headers=headers),
        guarded.get("/nothing", headers=headers),
    ):
        assert "key" in problem(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_what_stays_open(guarded):
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert guarded.get(path).status_code == 200, path


def test_metrics_have_a_key_of_their_own(guarded, client):
    problem(guarded.get("/metrics"), 401)
    problem(guarded.get("/metrics", headers={"X-API-Key": "first-key"}), 401)
    assert guarded.get("/metrics", headers={"Authorization": "Bearer metrics-key"}).status_code == 200
    assert client.get("/metrics").status_code == 200


def test_pages_of_named_origins_may_ask_and_read_the_headers(guarded):
    headers = {"Origin": "https://a.example", "X-API-Key": "first-key"}
    response = guarded.post("/generate", json={}, headers=headers)
    assert response.headers["access-control-allow-origin"] == "https://a.example"
    exposed = {name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"x-request-id", "x-seed", "x-model", "server-timing", "retry-after"}
    refused = guarded.post("/generate", json={}, headers={"Origin": "https://b.example"})
    problem(refused, 401)
    assert refused.headers["access-control-allow-origin"] == "https://b.example", "the page can read why"


def test_no_key_is_kept(weights_dir):
    """Nothing that a log or a fault could show has one."""
    settings = Settings(weights_dir=weights_dir, api_keys="telling-key,other-key", metrics_key="telling-key")
    app = create_app(settings)
    shown = [repr(settings), str(settings.model_dump()), repr(app.user_middleware), repr(vars(app.state))]
    shown += [repr(vars(key)) for key in (*settings.api_keys, *settings.metrics_key)]
    assert "telling" not in "".join(shown)
    with pytest.raises(ValidationError) as fault:
        Settings(api_keys=["telling-key"])
    assert "telling" not in str(fault.value)


def test_a_client_may_have_so_many_requests_at_once(weights_dir, library):
    engine = Engine(library, [CPU])
    settings = Settings(
        weights_dir=weights_dir, decode_workers=1, threads=1, max_per_client=2, api_keys="first-key,second-key"
    )
    first, second = ({"X-API-Key": f"{name}-key"} for name in ("first", "second"))
    with serving(create_app(settings, engine)) as client, ThreadPoolExecutor(4) as pool:
        with held(engine):
            running = [pool.submit(client.post, "/generate", json={}, headers=first) for _ in range(2)]
            wait_for(lambda: engine.waiting == 2)
            refused = client.post("/generate", json={}, headers=first)
            assert "wait for one" in problem(refused, 429)
            assert int(refused.headers["retry-after"]) >= 1
            assert client.get("/readyz", headers=first).status_code == 200, "who looks after it is not counted"
            running.append(pool.submit(client.post, "/generate", json={}, headers=second))
            wait_for(lambda: engine.waiting == 3)
        assert [future.result().status_code for future in running] == [200, 200, 200]
        assert client.post("/generate", json={}, headers=first).status_code == 200
    engine.close()


def test_without_keys_a_client_is_its_address(weights_dir, library):
    engine = Engine(library, [CPU])
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, threads=1, max_per_client=1), engine)
    with serving(app) as client, ThreadPoolExecutor(1) as pool:
        with held(engine):
            running = pool.submit(client.post, "/generate", json={})
            wait_for(lambda: engine.waiting == 1)
            problem(client.post("/generate", json={}, headers={"X-API-Key": "made-up"}), 429)
        assert running.result().status_code == 200
    engine.close()


def test_preflight_needs_no_key(guarded):
    headers = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, x-api-key, content-type",
    }
    response = guarded.options("/swap", headers=headers)
    assert response.status_code == 200
    allowed = response.headers["access-control-allow-headers"].lower()
    assert all(name in allowed for name in ("authorization", "x-api-key", "content-type"))
    assert (
        "access-control-allow-origin"
        not in guarded.options("/swap", headers={**headers, "Origin": "https://c.example"}).headers
    )


def test_no_origin_is_let_in_unless_named(client):
    response = client.get("/models", headers={"Origin": "https://a.example"})
    assert "access-control-allow-origin" not in response.headers
