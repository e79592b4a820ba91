"""The Python client against a real service: calls, both ways of waiting, errors, and fields as OpenAPI has them."""

from __future__ import annotations

import asyncio
import inspect
import io
import threading
from collections.abc import Iterator
from dataclasses import fields

import httpx
import pytest
from fastapi import FastAPI
from PIL import Image
from serving import apng, held, serving, wait_for

import rwae_client
from rwae_client import AsyncClient, Client, ProblemError, Retries, TooSlowError, UnreachableError, results
from service.app import create_app
from service.settings import Settings


@pytest.fixture
def ours(client: httpx.Client) -> Iterator[Client]:
    with Client(str(client.base_url), retries=Retries(0)) as ours:
        yield ours


def test_every_call_gives_what_it_says(ours: Client, tmp_path) -> None:
    (path := tmp_path / "a.png").write_bytes(apng(1))
    found = {model.id: model for model in ours.models()}
    assert found["grey"].clip == rwae_client.VideoShape(frames=5, height=64, width=64, channels=1, fps=10.0)
    assert [model.default for model in found.values()] == [True, False, False]
    codes = ours.encode(path)
    assert (codes.model, codes.modality, codes.frames, codes.fps) == ("colour", "video", 8, 8.0)
    assert ours.encode(path.read_bytes()) == codes == ours.encode(io.BytesIO(path.read_bytes()))
    assert ours.encode(path, sample=True, seed=3).seed == 3
    clip = ours.decode(codes, format="png", scale=2)
    assert Image.open(io.BytesIO(clip.data)).size == (8 * 128, 128)
    assert (clip.model, clip.media_type, clip.seed) == ("colour", "image/png", None)
    assert ours.swap(path, path, format="png", scale=2).data == clip.data
    both = ours.swap_both(path, apng(2, 5), model="colour")
    assert both.there.media_type == both.back.media_type == "video/mp4"
    assert both.there.data != both.back.data
    made = ours.generate(n=4, frames=3, seed=9, format="png")
    assert (made.seed, Image.open(io.BytesIO(made.data)).size) == (9, (3 * 128, 128))
    each = ours.generate_each(n=2, frames=3, seed=9, z_c=codes.z_c)
    assert each.seed == 9
    assert [len(clip.codes.z_m) for clip in each.clips] == [3, 3]
    assert each.clips[0].codes.z_c == pytest.approx(codes.z_c)
    made.save(tmp_path / "made.png")
    assert (tmp_path / "made.png").read_bytes() == made.data


def test_sound_too(mixed: httpx.Client, tmp_path) -> None:
    with Client(str(mixed.base_url)) as ours:
        (shape,) = {type(model.clip) for model in ours.models() if model.modality == "audio"}
        assert shape is rwae_client.AudioShape
        made = ours.generate(model="voice", frames=50, seed=1)
        assert made.media_type == "audio/wav"
        codes = ours.encode(made.data)
        assert (codes.modality, codes.fps, codes.hop_s, codes.psnr_db) == ("audio", None, 0.01, None)
        assert codes.lsd_db > 0


def test_awaited_calls_run_at_once_and_give_the_same(client: httpx.Client, ours: Client) -> None:
    async def ask() -> list[rwae_client.Encoding]:
        async with AsyncClient(str(client.base_url)) as theirs:
            return await asyncio.gather(*(theirs.encode(apng(seed)) for seed in range(4)))

    for seed, found in enumerate(asyncio.run(ask())):
        assert found.z_c == pytest.approx(ours.encode(apng(seed)).z_c, abs=1e-4)


def test_both_have_the_same_calls_with_the_same_parameters() -> None:
    names = [name for name, value in vars(Client).items() if hasattr(value, "__signature__")]
    assert len(names) == 7
    for name in names:
        mine, theirs = (inspect.signature(getattr(kind, name)) for kind in (Client, AsyncClient))
        assert mine == theirs
        assert next(iter(mine.parameters)) == "self"
        assert getattr(Client, name).__doc__


def test_errors_are_the_sentences_of_the_service(ours: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        ours.generate(scale=17)
    error = caught.value
    assert (error.status, error.field, error.type) == (422, "scale", "urn:problem-type:rwae:invalid-field")
    assert str(error) == error.detail
    assert str(error).startswith("scale: ")
    assert error.request_id
    with pytest.raises(ProblemError, match="supported kind"):
        ours.encode(b"not a clip")
    with pytest.raises(FileNotFoundError):
        ours.encode("nothing.mp4")


def test_nobody_there_and_too_slow_are_sentences_too(app: FastAPI, client: httpx.Client) -> None:
    with (
        pytest.raises(UnreachableError, match=r"^http://127.0.0.1:9 cannot be reached: "),
        Client("127.0.0.1:9") as lost,
    ):
        lost.models()
    with (
        held(app.state.engine),
        Client(str(client.base_url), timeout_s=0.3) as hasty,
        pytest.raises(TooSlowError, match="did not answer in time"),
    ):
        hasty.generate(frames=2)


def test_keys_are_sent(weights_dir) -> None:
    with serving(create_app(Settings(weights_dir=weights_dir, api_keys="k1", decode_workers=1))) as client:
        with Client(str(client.base_url), retries=Retries(0)) as ours, pytest.raises(ProblemError) as caught:
            ours.models()
        assert caught.value.status == 401
        with Client(str(client.base_url), api_key="k1") as ours:
            assert ours.models()


def test_a_busy_service_is_asked_again_when_it_has_time(weights_dir) -> None:
    app = create_app(Settings(weights_dir=weights_dir, queue_size=1, decode_workers=1, threads=1))
    with (
        serving(app) as client,
        Client(str(client.base_url)) as patient,
        Client(str(client.base_url), retries=Retries(0)) as hasty,
    ):
        answers: list[object] = []

        def ask() -> None:
            try:
                answers.append(patient.generate(frames=2, seed=1).data)
            except Exception as error:
                answers.append(error)

        with held(app.state.engine):
            threads = [threading.Thread(target=ask) for _ in range(2)]
            threads[0].start()
            wait_for(lambda: app.state.engine.full)
            with pytest.raises(ProblemError) as caught:
                hasty.generate(frames=2)
            assert caught.value.status == 429
            threads[1].start()
            rejected = "rwae_rejections_total"
            wait_for(lambda: client.get("/metrics").text.count(rejected) > 0 and _rejections(client) == 2)
        for thread in threads:
            thread.join()
    assert answers[0] == answers[1]
    assert isinstance(answers[0], bytes)


def _rejections(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith("rwae_rejections_total{"))


def test_results_have_the_fields_that_openapi_has(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    ours = {
        results.Model: {"ModelInfo"},
        results.VideoShape: {"VideoShape"},
        results.AudioShape: {"AudioShape"},
        results.Encoding: {"VideoEncoding", "AudioEncoding"},
    }
    for kind, theirs in ours.items():
        told = {name for schema in theirs for name in schemas[schema]["properties"]}
        assert {field.name for field in fields(kind)} == told
    assert set(schemas["Item"]["properties"]) == {"media_type", "data", *(f.name for f in fields(results.Codes))}


def test_calls_take_the_fields_that_openapi_has(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    unsaid = {"stream", "file", "content", "motion", "z_c", "z_m", "action"}  # as arguments of another kind, or not yet
    for name, schema in {
        "encode": "EncodeForm",
        "decode": "DecodeRequest",
        "swap": "SwapForm",
        "generate": "GenerateRequest",
    }.items():
        parameters = set(inspect.signature(getattr(Client, name)).parameters)
        found = next(value for key, value in schemas.items() if key.endswith(schema))
        assert set(found["properties"]) - unsaid <= parameters, name
