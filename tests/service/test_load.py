"""Many at once, too many at once, too slow, gone."""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
from serving import CPU, apng, held, moving, serving, wait_for
from test_contract import frames_of, levels
from test_errors import problem

from rwae_core.media.encode import encode_video
from service.app import create_app
from service.engine import Engine
from service.settings import Settings

JOBS = [
    ("/generate", {"json": {"seed": 1, "format": "json", "n": 2}}),
    ("/generate", {"json": {"seed": 2, "format": "json", "frames": 20}}),
    ("/generate", {"json": {"seed": 3, "format": "apng", "model": "grey"}}),
    ("/generate", {"json": {"seed": 4, "format": "json", "n": 3, "z_c": [1.0] * 6}}),
    ("/decode", {"json": {"z_c": [0.3] * 6, "z_m": [[0.2] * 4, [-1.0] * 4] * 4, "format": "webp"}}),
    ("/swap", {"files": {"content": apng(1), "motion": apng(2)}, "data": {"format": "apng"}}),
    ("/swap", {"files": {"content": apng(3), "motion": apng(4)}, "data": {"format": "apng"}}),
    ("/encode", {"files": {"file": apng(5)}}),
    ("/encode", {"files": {"file": apng(6)}, "data": {"sample": "true", "seed": "9"}}),
    ("/encode", {"files": {"file": encode_video(moving(7, 16), 8, "mp4")}}),
]


def numbers(answer):
    """All codes in a JSON answer, which are what has to agree; media in it depends on them through a lossy encoder."""
    if isinstance(answer, dict):
        return list(
            itertools.chain(*(numbers(answer[key]) for key in sorted(answer) if key not in ("data", "psnr_db")))
        )
    if isinstance(answer, list):
        return list(itertools.chain(*map(numbers, answer)))
    return [answer] if isinstance(answer, (int, float)) else []


def assert_same(answer, alone):
    """Codes to 1e-4, pixels to one level."""
    assert answer.headers["content-type"] == alone.headers["content-type"]
    form = alone.headers["content-type"].rpartition("/")[2]
    if form == "json":
        np.testing.assert_allclose(numbers(answer.json()), numbers(alone.json()), atol=1e-4)
    else:
        assert levels(frames_of(answer.content, form), frames_of(alone.content, form)) <= 1


def run_clients(client, seconds):
    """Eight clients that ask until the time is up; returns what each answer was to and how it was."""
    path_and_alone = [(path, body, client.post(path, **body)) for path, body in JOBS]
    end = time.monotonic() + seconds

    def ask(number):
        found = []
        with httpx.Client(base_url=client.base_url, timeout=60) as own:
            jobs = itertools.islice(itertools.cycle(path_and_alone), number, None)
            while time.monotonic() < end:
                path, body, alone = next(jobs)
                found.append((own.post(path, **body), alone))
        return found

    with ThreadPoolExecutor(8) as pool:
        return list(itertools.chain(*pool.map(ask, range(8))))


def test_eight_clients_get_what_each_gets_alone(client):
    answers = run_clients(client, seconds=4)
    assert len(answers) >= 40
    for answer, alone in answers:
        assert answer.status_code == alone.status_code == 200, answer.text
        assert_same(answer, alone)
    batches = [
        float(line.rpartition(" ")[2]) for line in client.get("/metrics").text.splitlines() if "batch_size_sum" in line
    ]
    assert batches[0] >= len(answers)


@pytest.mark.slow
def test_eight_clients_for_a_minute(client):
    """Takes about 70 s."""
    for answer, alone in run_clients(client, seconds=60):
        assert answer.status_code == alone.status_code == 200, answer.text
        assert_same(answer, alone)


@pytest.fixture
def engine(library):
    engine = Engine(library, [CPU], queue_size=2)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def slow():
    """A clip that takes about a second to decode."""
    return encode_video(moving(1, 300, 256), 8, "webp")


def test_a_full_queue_turns_away(weights_dir, engine):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, queue_size=2), engine)
    with serving(app) as client, ThreadPoolExecutor(2) as pool:
        with held(engine):
            waiting = [pool.submit(client.post, "/generate", json={"seed": 1}) for _ in range(2)]
            wait_for(lambda: engine.waiting == 2)
            refused = client.post("/generate", json={"seed": 1})
            assert "waiting" in problem(refused, 429)
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            ready = client.get("/readyz")
            problem(ready, 503)
            assert int(ready.headers["retry-after"]) >= 1
            assert client.get("/healthz").status_code == 200
        assert [future.result().status_code for future in waiting] == [200, 200]
        assert client.get("/readyz").status_code == 200


def test_too_many_uploads_wait_to_be_decoded(weights_dir, engine, slow):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, queue_size=1), engine)
    with serving(app) as client, ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: client.post("/encode", files={"file": slow}), range(12)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert "retry-after" in answers[statuses.index(429)].headers


def test_what_is_late_is_dropped(weights_dir, engine):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, request_timeout_s=0.4), engine)
    with serving(app) as client, held(engine):
        started = time.monotonic()
        assert "0.4 s" in problem(client.post("/generate", json={}), 504)
        assert time.monotonic() - started < 5
        problem(client.post("/swap", files={"content": apng(1), "motion": apng(2)}), 504)
        wait_for(lambda: engine.waiting == 0)
        wait_for(lambda: client.get("/metrics").text.count('status="504"} 1.0') == 2)


def test_decoding_has_the_deadline_too(weights_dir, engine, slow):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1, request_timeout_s=0.2), engine)
    with serving(app) as client, ThreadPoolExecutor(12) as pool:  # more than one decoder can do in time
        answers = list(pool.map(lambda _: client.post("/encode", files={"file": slow}), range(12)))
        assert {answer.status_code for answer in answers} in ({504}, {200, 504})
        wait_for(lambda: client.post("/encode", files={"file": apng(1)}).status_code == 200)


def test_who_hangs_up_is_forgotten(weights_dir, engine):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1), engine)
    with serving(app) as client, held(engine):
        for _ in range(5):  # more than the queue takes
            with pytest.raises(httpx.ReadTimeout):
                client.post("/generate", json={}, timeout=0.2)
        wait_for(lambda: engine.waiting == 0)
        assert 'route="/generate",status="499"} 5.0' in client.get("/metrics").text


def test_nothing_is_served_without_models(tmp_path):
    app = create_app(Settings(weights_dir=tmp_path / "nothing", decode_workers=1))
    with serving(app) as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/models").json() == {"models": []}
        for response in (client.get("/readyz"), client.post("/generate", json={})):
            problem(response, 503)
            assert int(response.headers["retry-after"]) >= 1
        example = client.get("/openapi.json").json()["components"]["schemas"]["DecodeRequest"]["examples"]
        assert example


def test_draining_shows_in_readiness_and_what_runs_ends(weights_dir, engine):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1), engine)
    with serving(app) as client, ThreadPoolExecutor(1) as pool:
        with held(engine):
            running = pool.submit(client.post, "/generate", json={"seed": 1})
            wait_for(lambda: engine.waiting == 1)
            app.state.draining = True
            problem(client.get("/readyz"), 503)
            assert client.get("/healthz").status_code == 200
        assert running.result().status_code == 200


def test_a_closed_engine_is_a_503(weights_dir, library):
    engine = Engine(library, [CPU])
    with serving(create_app(Settings(weights_dir=weights_dir, decode_workers=1), engine)) as client:
        engine.close()
        response = client.post("/generate", json={})
        problem(response, 503)
        assert int(response.headers["retry-after"]) >= 1


def test_while_models_load_the_process_lives(weights_dir):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1))
    with serving(app) as client:
        engine, app.state.engine = app.state.engine, None
        for response in (client.get("/readyz"), client.get("/models"), client.post("/generate", json={})):
            assert "loaded" in problem(response, 503)
        assert client.get("/healthz").status_code == 200
        app.state.engine = engine
        assert client.get("/readyz").status_code == 200
