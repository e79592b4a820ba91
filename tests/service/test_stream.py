"""Streams: what is sent while it is made, to whom, for how long, and what others notice of it."""

from __future__ import annotations

import io
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import av
import httpx
import numpy as np
import pytest
import torch
from serving import CPU, ROOT, held, metric, only, own_process, resident_mb, serving, wait_for
from test_errors import problem
from test_verbs import VIDEO, build, codes, engine_of

from service.app import create_app
from service.engine import Engine, QueueFullError
from service.settings import Settings
from service.verbs.stream import Continue, Stream
from service.verbs.video import Generate


def pictures(film: bytes) -> np.ndarray:
    with av.open(io.BytesIO(film)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def boxes(film: bytes) -> list[str]:
    """The names of an MP4's outermost boxes."""
    names, at = [], 0
    while at < len(film):
        names.append(film[at + 4 : at + 8].decode())
        at += int.from_bytes(film[at : at + 4])
    assert at == len(film)
    return names


def streaming(client: httpx.Client, **asked: object):
    return client.stream("POST", "/generate", json={"stream": True, **asked})


@torch.inference_mode()
@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.parametrize("cut", [(4, 4, 4, 4), (1, 7, 8)])
def test_parts_are_the_clip_made_at_once(name, cut):
    model = build(name)
    network, given = model.networks[CPU], codes(model, 1, 6)
    for kept in ({}, {"z_c": given.z_c, "z_m": given.z_m, "action": given.action}, {"temperature": 0.5}):
        asked = Generate(2, 16, 7, **kept)
        whole = Generate.run(network, [asked])[0].clips
        stream = Stream(asked)
        found = np.concatenate([Continue.run(network, [stream.next(frames)])[0] for frames in cut], axis=1)
        assert found.shape == whole.shape
        assert np.abs(found.astype(int) - whole.astype(int)).max() <= 1
        assert np.abs(np.diff(whole.astype(int), axis=1)).max() > 1, "it moves"


@torch.inference_mode()
@pytest.mark.parametrize("name", ["recurrent", "actions", "modulated"])
def test_streams_share_passes_and_stay_what_they_are(name):
    model = build(name)
    alone = [Generate.run(model.networks[CPU], [Generate(1, 12, seed)])[0].clips for seed in range(3)]
    engine = engine_of(model)
    streams = [Stream(Generate(1, 12, seed)) for seed in range(3)]
    found = []
    for _ in range(3):
        with held(engine):
            futures = [engine.submit(model, stream.next(4)) for stream in streams]
        found.append([future.result().value for future in futures])
        assert max(future.result().batch for future in futures) == 3
    for frames, expected in zip(zip(*found, strict=True), alone, strict=True):
        assert np.abs(np.concatenate(frames, axis=1).astype(int) - expected.astype(int)).max() <= 1
    engine.close()


def test_what_has_begun_is_not_turned_away(library):
    engine = Engine(library, [CPU], queue_size=1)
    model, stream = library.find("colour"), Stream(Generate(1, 4, 1))
    with held(engine):
        engine.submit(model, Generate(1, 4, 1))
        with pytest.raises(QueueFullError):
            engine.submit(model, stream.next(4))
        going_on = engine.submit(model, stream.next(4), continues=True)
    assert going_on.result(60).value.shape == (1, 4, 64, 64, 3)
    engine.close()


@pytest.mark.parametrize("name", ["recurrent", "modulated"])
def test_what_goes_on_and_the_rest_take_turns(name):
    """A long clip holds no stream up, nor do streams that never rest hold it up."""
    model = build(name)
    engine = engine_of(model, max_batch_frames=16)
    stream, parts = Stream(Generate(1, 4, 1)), 0
    with held(engine):
        long = engine.submit(model, Generate(1, 640, 2))  # 40 passes and one
        going_on = engine.submit(model, stream.next(4), continues=True)
    for _ in range(8):
        going_on.result(60)
        going_on, parts = engine.submit(model, stream.next(4), continues=True), parts + 1
    assert not long.done()
    while not long.done():
        going_on.result(60)
        going_on, parts = engine.submit(model, stream.next(4), continues=True), parts + 1
    assert parts < 60
    engine.close()


def test_a_stream_shows_what_the_same_seed_gives_without(client):
    asked = {"seed": 5, "frames": 40, "scale": 2}
    with streaming(client, **asked) as answer:
        assert answer.status_code == 200
        media_type, _, codec = answer.headers["content-type"].partition("; ")
        assert media_type == "video/mp4"
        assert codec.startswith('codecs="avc1.')
        assert answer.headers["x-seed"] == "5"
        assert answer.headers["x-model"] == "colour"
        film = answer.read()
    plain = pictures(client.post("/generate", json=asked).content)
    found = pictures(film)
    assert found.shape == plain.shape == (40, 128, 128, 3)
    assert np.abs(found.astype(int) - plain.astype(int)).mean() < 3
    assert boxes(film) == ["ftyp", "moov", "moof", "mdat", "moof", "mdat", "moof", "mdat", "mfra"]


def test_more_clips_are_a_grid_and_codes_are_kept(client):
    codes = client.post("/generate", json={"seed": 3, "frames": 20, "format": "json"}).json()["items"][0]
    kept = {"z_c": codes["z_c"], "z_m": codes["z_m"], "frames": 20}
    with streaming(client, seed=99, n=3, fps=24, **kept) as answer:
        tiles = pictures(answer.read())
    assert tiles.shape == (20, 128, 128, 3)
    single = pictures(client.post("/generate", json={"seed": 3, "frames": 20}).content)
    for tile in (tiles[:, :64, :64], tiles[:, :64, 64:], tiles[:, 64:, :64]):
        assert np.abs(tile.astype(int) - single.astype(int)).mean() < 4
    assert tiles[:, 64:, 64:].mean() < 2


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"format": "gif"}, "format"),
        ({"format": "json"}, "format"),
        ({"n": 1024}, "n"),
        ({"n": 64, "scale": 16}, "scale"),
        ({"z_c": [1.0]}, "z_c"),
        ({"action": 1}, "action"),
        ({"frames": 1, "z_m": [[0.0] * 4] * 2}, "frames"),
    ],
)
def test_what_no_stream_can_be_is_refused_in_words(client, asked, field):
    problem(client.post("/generate", json={"stream": True, **asked}), 422, field)


def test_sound_does_not_stream(mixed):
    problem(mixed.post("/generate", json={"model": "voice", "stream": True}), 422, "stream")


@pytest.fixture(scope="module")
def narrow(weights_dir):
    """Two streams at most, of five seconds; requests have two."""
    settings = Settings(weights_dir=weights_dir, threads=1, max_streams=2, max_stream_s=5, request_timeout_s=2)
    with serving(create_app(settings)) as client:
        yield client


def test_there_are_as_many_streams_as_may_be_and_places_come_back(narrow):
    with streaming(narrow), streaming(narrow):
        assert metric(narrow, "rwae_streams") == 2
        refused = narrow.post("/generate", json={"stream": True})
        assert "as may be, 2" in problem(refused, 429, None)
        assert int(refused.headers["retry-after"]) >= 1
        assert narrow.post("/generate", json={}).status_code == 200
    wait_for(lambda: metric(narrow, "rwae_streams") == 0)
    wait_for(lambda: metric(narrow, "rwae_queue_length") == 0)
    with streaming(narrow, frames=1) as answer:
        assert len(pictures(answer.read())) == 1


def test_a_stream_outlives_the_deadline_and_ends_whole_when_its_time_is_over(narrow):
    started = time.monotonic()
    with streaming(narrow) as answer:
        film = answer.read()
    assert 4.5 < time.monotonic() - started < 12
    assert boxes(film)[-1] == "mfra"
    assert len(pictures(film)) > 100


def test_who_does_not_read_holds_the_stream_up_and_who_leaves_ends_it(weights_dir):
    """Beyond what the system's buffers hold nothing is made. The client leaves long after its deadline."""
    with serving(create_app(Settings(weights_dir=weights_dir, threads=1, request_timeout_s=4))) as client:
        started = time.monotonic()
        with socket.create_connection((client.base_url.host, client.base_url.port), timeout=30) as connection:
            body = b'{"stream": true, "scale": 8, "temperature": 3}'
            head = (
                f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
            )
            connection.sendall(head.encode() + b"\r\n\r\n" + body)

            def passes() -> float:
                return metric(client, "rwae_pass_seconds_count", operation="RollOut")

            def stands_still() -> bool:
                before = passes()
                time.sleep(1)
                return before == passes() > 0

            wait_for(lambda: stands_still() and time.monotonic() > started + 5, 60)
            assert metric(client, "rwae_streams") == 1
            stood = passes()

            def goes_on() -> bool:
                for _ in range(50):
                    connection.recv(65536)
                return passes() > stood

            wait_for(goes_on)
        wait_for(lambda: metric(client, "rwae_streams") == 0, 10)
        assert metric(client, "rwae_queue_length") == 0


def test_streams_and_others_take_turns(client):
    """Whoever reads as fast as can be neither holds up those who ask for clips nor is held up by them."""
    stop = threading.Event()

    def read() -> int:
        with streaming(client, scale=4) as answer:
            for count, _ in enumerate(answer.iter_raw()):
                if stop.is_set():
                    return count
        raise AssertionError("it has ended")

    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(read) for _ in range(3)]
        wait_for(lambda: metric(client, "rwae_streams") == 3)
        before = metric(client, "rwae_pass_seconds_count", operation="RollOut")
        for _ in range(6):
            assert client.post("/generate", json={"n": 8, "frames": 32, "format": "png"}).status_code == 200
        meanwhile = metric(client, "rwae_pass_seconds_count", operation="RollOut") - before
        stop.set()
        counts = [each.result(60) for each in reading]
    assert meanwhile > 6
    assert min(counts) > 2
    assert max(counts) < 3 * min(counts) + 5


def test_a_service_that_ends_ends_its_streams_whole(weights_dir, tmp_path):
    with (
        own_process(only(weights_dir, tmp_path), tmp_path / "log") as (address, started),
        httpx.Client(base_url=address, timeout=30) as client,
        streaming(client) as answer,
    ):
        received = b""
        for data in answer.iter_raw():
            if not received:
                started.terminate()
            received += data
        assert boxes(received)[-1] == "mfra"
        assert started.wait(10) == 0


@pytest.mark.slow
def test_ten_thousand_frames_in_even_memory(tmp_path):
    """Three minutes on 2 cores: with the weights that are shipped, at the size at which the page shows them."""
    with (
        own_process(only(ROOT / "weights", tmp_path, "sprites"), tmp_path / "log") as (address, started),
        httpx.Client(base_url=address, timeout=60) as client,
        av.open(_Pipe(client)) as container,
    ):
        count, memory = 0, []
        for frame in container.decode(video=0):
            assert (frame.width, frame.height) == (256, 256)
            count += 1
            if count % 1000 == 0:
                memory.append(resident_mb(started.pid))
    assert count == 10_000
    assert max(memory[1:]) - memory[1] < 30, memory


class _Pipe:
    """A stream's bytes as a file that is read once from beginning to end."""

    def __init__(self, client: httpx.Client) -> None:
        request = client.build_request("POST", "/generate", json={"stream": True, "frames": 10_000, "scale": 4})
        self._parts = client.send(request, stream=True).iter_raw()
        self._left = b""

    def read(self, size: int) -> bytes:
        while not self._left:
            try:
                self._left = next(self._parts)
            except StopIteration:
                return b""
        data, self._left = self._left[:size], self._left[size:]
        return data
