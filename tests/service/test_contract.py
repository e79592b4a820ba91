"""Every call, every field and every form of answer, over real HTTP."""

from __future__ import annotations

import base64
import io
import json
import re

import av
import numpy as np
import pytest
from PIL import Image, ImageSequence
from serving import apng, moving, wait_for

from rwae_core.media.encode import encode_video, grid
from service import schemas
from service.calls.asking import LARGEST_DRAWN_SEED

FORMS = {
    "mp4": "video/mp4",
    "webm": "video/webm",
    "gif": "image/gif",
    "webp": "image/webp",
    "apng": "image/apng",
    "png": "image/png",
}
SOUND_TYPES = {"audio/wav", "audio/flac", "audio/ogg"}
LOSSLESS = {"webp", "apng", "png"}


def frames_of(data, form, count=None):
    """Frames of a file as others read it: PyAV or Pillow."""
    if form in ("mp4", "webm"):
        with av.open(io.BytesIO(data)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    with Image.open(io.BytesIO(data)) as image:
        if form == "png":
            return np.stack(np.split(np.array(image.convert("RGB")), count, axis=1))
        return np.stack([np.array(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])


def rate_of(data):
    with av.open(io.BytesIO(data)) as container:
        return float(container.streams.video[0].average_rate)


def levels(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def generate(client, **body):
    response = client.post("/generate", json=body)
    assert response.status_code == 200, response.text
    return response


def encode(client, data, **fields):
    response = client.post("/encode", files={"file": ("clip", data)}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def swap(client, content, motion, **fields):
    response = client.post("/swap", files={"content": ("a", content), "motion": ("b", motion)}, data=fields)
    assert response.status_code == 200, response.text
    return response


def test_models(client):
    models = client.get("/models").json()["models"]
    assert [model["id"] for model in models] == ["colour", "grey", "weak"], "and the broken folder is left out"
    assert models[0] == {
        "id": "colour",
        "modality": "video",
        "default": True,
        "content_dim": 6,
        "motion_dim": 4,
        "actions": 0,
        "clip": {"frames": 8, "height": 64, "width": 64, "channels": 3, "fps": 8.0},
        "card": "Random weights, colour",
        "metrics": {"swap_error": 0.5},
    }
    assert not models[1]["default"]
    assert [model["actions"] for model in models] == [0, 0, 3]


@pytest.mark.parametrize("model", ["colour", "grey"])
def test_encode(client, model):
    clip = apng(1, frames=11, size=96, fps=12.5)
    answer = encode(client, clip, model=model)
    dims = {"colour": (6, 4), "grey": (5, 3)}[model]
    assert set(answer) == set(schemas.VideoEncoding.model_fields)
    assert (answer["model"], answer["modality"], answer["frames"], answer["fps"]) == (model, "video", 11, 12.5)
    assert len(answer["z_c"]) == dims[0]
    assert [len(step) for step in answer["z_m"]] == [dims[1]] * 11
    assert answer["action"] is None
    assert answer["seed"] is None
    assert 0 < answer["psnr_db"] < 40
    assert answer == encode(client, clip, model=model), "means are not drawn"


def test_encode_samples_by_seed(client):
    drawn = encode(client, apng(1), sample="true")
    assert 0 <= drawn["seed"] < LARGEST_DRAWN_SEED
    assert encode(client, apng(1), sample="true", seed=drawn["seed"]) == drawn
    assert encode(client, apng(1), sample="true")["z_c"] != drawn["z_c"]
    response = client.post("/encode", files={"file": apng(1)}, data={"sample": "true", "seed": str(2**63 - 1)})
    assert response.headers["x-seed"] == str(2**63 - 1)


def test_fit_decides_what_of_a_frame_is_seen(client):
    wide = np.concatenate([moving(1), moving(2), moving(3)], axis=2)
    data = encode_video(wide, 8, "apng")
    codes = {fit: encode(client, data, fit=fit)["z_c"] for fit in ("crop", "pad", "stretch")}
    assert codes["crop"] == encode(client, apng(2))["z_c"] == encode(client, data)["z_c"]
    assert codes["crop"] != codes["pad"] != codes["stretch"] != codes["crop"]
    crops = swap(client, data, data, format="apng").content
    assert crops == swap(client, apng(2), apng(2), format="apng").content
    assert crops != swap(client, data, data, format="apng", fit="stretch").content


@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens_elsewhere(client, form):
    asked = {"n": 1, "frames": 6, "seed": 3}
    truth = frames_of(generate(client, **asked, format="apng").content, "apng")
    response = generate(client, **asked, format=form)
    assert response.headers["content-type"] == FORMS[form]
    frames = frames_of(response.content, form, 6)
    assert frames.shape == (6, 64, 64, 3)
    if form in LOSSLESS:
        assert levels(frames, truth) <= 1
    else:  # these keep lightness, and colour at half the resolution or with fewer shades
        lightness = [0.299, 0.587, 0.114]
        assert np.abs(frames @ lightness - truth @ lightness).mean() < 6
    large = frames_of(generate(client, **asked, format=form, scale=3).content, form, 6)
    assert large.shape == (6, 192, 192, 3)
    if form in LOSSLESS:
        assert (large[:, 1::3, 2::3] == frames).all()


@pytest.mark.parametrize("form", [form for form in FORMS if form != "png"])  # a still image is no clip
def test_what_is_answered_can_be_sent_back(client, form):
    made = generate(client, frames=9, seed=4, format=form, scale=2, fps=10).content
    answer = encode(client, made)
    assert answer["frames"] == 9
    assert answer["fps"] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "video/mp4"),
        ("image/gif", "image/gif"),
        ("image/webp, image/png;q=0.5", "image/webp"),
        ("image/png;q=0.2, image/apng;q=0.9", "image/apng"),
        ("video/webm", "video/webm"),
        ("video/*", "video/mp4"),
        ("video/mp4;q=0, video/*", "video/webm"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/html", "video/mp4"),
    ],
)
def test_accept_decides_where_no_format_is_given(client, accept, media_type):
    response = client.post("/generate", json={"seed": 1}, headers={"Accept": accept})
    assert response.headers["content-type"] == media_type
    response = client.post("/generate", json={"seed": 1, "format": "gif"}, headers={"Accept": accept})
    assert response.headers["content-type"] == "image/gif"


def test_fps_and_length_of_a_swap_are_the_motions(client):
    content, motion = apng(1, frames=5, fps=10), apng(2, frames=12, fps=25)
    made = swap(client, content, motion).content
    assert len(frames_of(made, "mp4")) == 12
    assert rate_of(made) == pytest.approx(25)
    assert rate_of(swap(client, content, motion, fps=5).content) == pytest.approx(5)
    assert rate_of(generate(client).content) == pytest.approx(8), "the model's"


def test_swap_is_content_and_motion_decoded(client):
    content, motion = apng(1, frames=7), apng(2, frames=9)
    made = frames_of(swap(client, content, motion, format="apng").content, "apng")
    codes = {"z_c": encode(client, content)["z_c"], "z_m": encode(client, motion)["z_m"]}
    decoded = client.post("/decode", json={**codes, "format": "apng"})
    assert levels(made, frames_of(decoded.content, "apng")) <= 1
    assert levels(made, frames_of(swap(client, motion, content, format="apng").content, "apng")[:1]) > 1


def test_swap_in_json_goes_both_ways(client):
    content, motion = apng(1, frames=5, fps=10), apng(2, frames=9, fps=20)
    answer = swap(client, content, motion, format="json", scale=2).json()
    assert set(answer) == {"model", "swaps"}
    assert answer["model"] == "colour"
    there, back = answer["swaps"]
    assert (there["content"], there["motion"], there["media_type"]) == ("content", "motion", "video/mp4")
    assert (back["content"], back["motion"]) == ("motion", "content")
    for direction, sources, length, fps in ((there, (content, motion), 9, 20), (back, (motion, content), 5, 10)):
        data = base64.b64decode(direction["data"], validate=True)
        assert data == swap(client, *sources, scale=2).content
        assert frames_of(data, "mp4").shape == (length, 128, 128, 3)
        assert rate_of(data) == pytest.approx(fps)


def test_decode_in_json_has_one_item(client):
    codes = {"z_c": [0.5] * 6, "z_m": [[0.1 * step] * 4 for step in range(5)]}
    answer = client.post("/decode", json={**codes, "model": "colour", "format": "json"}).json()
    assert set(answer) == {"model", "seed", "items"}
    (item,) = answer["items"]
    assert set(item) == {"media_type", "data", "z_c", "z_m", "action"}
    np.testing.assert_allclose(item["z_m"], codes["z_m"], atol=1e-6)
    assert len(frames_of(base64.b64decode(item["data"]), "mp4")) == 5


def test_generate_in_json_says_all_it_drew(client):
    answer = generate(client, n=3, frames=6, format="json").json()
    assert set(answer) == {"model", "seed", "items"}
    assert 0 <= answer["seed"] < LARGEST_DRAWN_SEED
    assert len(answer["items"]) == 3
    again = generate(client, n=3, frames=6, format="json", seed=answer["seed"]).json()
    assert again == answer
    for item in answer["items"]:
        assert len(frames_of(base64.b64decode(item["data"]), "mp4")) == 6
        codes = {"z_c": item["z_c"], "z_m": item["z_m"]}
        again = frames_of(client.post("/decode", json=codes).content, "mp4")
        assert np.abs(again - frames_of(base64.b64decode(item["data"]), "mp4").astype(int)).mean() < 2


def test_actions_are_told_kept_and_chosen(client):
    encoded = encode(client, apng(1), model="weak")
    assert len(encoded["action"]) == 3
    assert sum(encoded["action"]) == pytest.approx(1)
    codes = {name: encoded[name] for name in ("z_c", "z_m", "action")}
    decoded = frames_of(client.post("/decode", json={**codes, "model": "weak", "format": "apng"}).content, "apng")
    own = swap(client, apng(1), apng(1), model="weak", format="apng")
    assert levels(decoded, frames_of(own.content, "apng")) <= 1

    items = [generate(client, model="weak", seed=4, action=i, format="json").json()["items"][0] for i in range(3)]
    assert [item["action"] for item in items] == np.eye(3).tolist()
    assert items[0]["z_c"] == items[1]["z_c"], "a chosen action changes no other draw"
    assert items[0]["data"] != items[1]["data"], "and is seen"
    drawn = generate(client, model="weak", n=12, seed=5, format="json").json()["items"]
    assert {tuple(item["action"]) for item in drawn} == {tuple(row) for row in np.eye(3)}


def test_generate_tiles_several_clips(client):
    tiled = frames_of(generate(client, n=5, frames=4, seed=9, format="apng").content, "apng")
    items = generate(client, n=5, frames=4, seed=9, format="json").json()["items"]
    alone = [
        client.post("/decode", json={"z_c": item["z_c"], "z_m": item["z_m"], "format": "apng"}).content
        for item in items
    ]
    assert levels(tiled, grid(np.stack([frames_of(data, "apng") for data in alone]))) <= 1


def test_a_drawn_seed_is_told_and_gives_the_same_again(client):
    first = generate(client, format="apng")
    seed = int(first.headers["x-seed"])
    assert frames_of(first.content, "apng").shape[0] == 8, "the model's own length"
    assert generate(client, format="apng", seed=seed).content == first.content
    assert generate(client, format="apng").content != first.content
    assert generate(client, seed=2**63 - 1).headers["x-seed"] == str(2**63 - 1)


def test_generate_keeps_what_is_given(client):
    z_c, z_m = [0.5, -1, 0, 1, 2, -2], [[0.1, 0.2, 0.3, 0.4], [1, 1, 1, 1]]
    items = generate(client, n=2, frames=5, z_c=z_c, z_m=z_m, seed=1, format="json").json()["items"]
    for item in items:
        np.testing.assert_allclose(item["z_c"], z_c, atol=1e-6)
        np.testing.assert_allclose(item["z_m"][:2], z_m, atol=1e-6)
    assert items[0]["z_m"][2:] != items[1]["z_m"][2:]
    long = generate(client, z_m=[[0.0] * 4] * 11, format="json").json()["items"][0]
    assert len(long["z_m"]) == 11, "nothing that is given is cut"
    cold = generate(client, n=2, temperature=0, format="json").json()["items"]
    assert cold[0]["z_c"] == cold[1]["z_c"] == [0.0] * 6


def test_headers(client):
    response = client.post("/swap", files={"content": apng(1), "motion": apng(2)}, headers={"X-Request-ID": "my-id.1"})
    assert response.headers["x-request-id"] == "my-id.1"
    assert response.headers["x-model"] == "colour"
    stages = dict(
        re.fullmatch(r"(\w+);dur=([\d.]+)", part).groups() for part in response.headers["server-timing"].split(", ")
    )
    assert list(stages) == ["decode", "queue", "model", "encode"]
    assert all(0 <= float(took) < 60_000 for took in stages.values())
    made = client.get("/healthz", headers={"X-Request-ID": "no\tgood <id>"}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert "x-seed" not in response.headers


def test_empty_form_fields_are_as_absent(client):
    fields = {"model": "", "fit": "", "format": "", "fps": "", "scale": ""}
    assert swap(client, apng(1), apng(2), **fields).content == swap(client, apng(1), apng(2)).content


def test_file_names_and_declared_types_do_not_matter(client):
    named = client.post("/encode", files={"file": ("../../x.wav", apng(1), "text/plain")})
    assert named.json() == encode(client, apng(1))


def test_probes_page_and_docs(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok"}
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert 'href="docs"' in page.text
    assert "swagger" in client.get("/docs").text.lower()


def test_metrics_count(client):
    def count():
        text = client.get("/metrics").text
        found = re.search(r'rwae_requests_total\{method="POST",route="/generate",status="200"\} ([\d.]+)', text)
        return float(found[1]) if found else 0.0

    before = count()
    generate(client)
    wait_for(lambda: count() == before + 1)  # it is counted once the answer is sent
    text = client.get("/metrics").text
    assert "rwae_queue_length 0.0" in text
    for stage in ("decode", "queue", "model", "encode"):
        assert f'rwae_stage_seconds_count{{stage="{stage}"}}' in text


@pytest.fixture(scope="module")
def document(client):
    return client.get("/openapi.json").json()


class TestOpenAPI:
    def test_every_call_is_there(self, document):
        found = {(path, method) for path, methods in document["paths"].items() for method in methods}
        gets = {"/models", "/healthz", "/readyz", "/metrics"}
        posts = {"/encode", "/decode", "/swap", "/generate"}
        assert found == {(path, "get") for path in gets} | {(path, "post") for path in posts}

    def test_references_resolve(self, document):
        names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
        assert set(names) <= set(document["components"]["schemas"])
        assert "Problem" in names

    def test_every_field_says_what_it_is(self, document):
        for name in ("EncodeForm", "SwapForm", "DecodeRequest", "GenerateRequest", "Problem"):
            for field, schema in document["components"]["schemas"][name]["properties"].items():
                assert schema.get("description"), f"{name}.{field}"

    def test_bounds_are_exact(self, document):
        schemas_ = document["components"]["schemas"]
        (seed, _) = schemas_["GenerateRequest"]["properties"]["seed"]["anyOf"]
        assert (seed["minimum"], seed["maximum"]) == (0, 2**63 - 1)
        scale = schemas_["SwapForm"]["properties"]["scale"]
        assert (scale["minimum"], scale["maximum"], scale["default"]) == (1, 16, 1)
        z_c = schemas_["DecodeRequest"]["properties"]["z_c"]
        assert (z_c["minItems"], z_c["items"]["maximum"]) == (1, 1e6)

    def test_media_and_errors_are_described(self, document):
        for path, field in (("/swap", "Swaps"), ("/decode", "Items"), ("/generate", "Items")):
            responses = document["paths"][path]["post"]["responses"]
            assert set(responses["200"]["content"]) == {*FORMS.values(), *SOUND_TYPES, "application/json"}
            assert responses["200"]["content"]["application/json"]["schema"]["$ref"].endswith(f"/{field}")
            assert {"401", "404", "413", "422", "429", "503", "504"} <= set(responses)
            for status in responses.keys() - {"200"}:
                ((media_type, described),) = responses[status]["content"].items()
                assert media_type == "application/problem+json"
                for example in described["examples"].values():
                    problem = schemas.Problem.model_validate(example["value"])
                    assert problem.status == int(status)
        assert {"400", "415"} <= set(document["paths"]["/swap"]["post"]["responses"])
        assert "X-Seed" in document["paths"]["/generate"]["post"]["responses"]["200"]["headers"]

    @pytest.mark.parametrize("path", ["/decode", "/generate"])
    def test_examples_work_as_they_stand(self, client, document, path):
        content = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        schema = document["components"]["schemas"][content["schema"]["$ref"].rpartition("/")[2]]
        assert schema["examples"]
        for example in schema["examples"]:
            response = client.post(path, json=example)
            assert response.status_code == 200, response.text
            assert response.headers["content-type"] == FORMS[example["format"]]

    def test_examples_of_answers_are_valid(self):
        encodings = (schemas.VideoEncoding, schemas.AudioEncoding, schemas.AudioShape)
        for model in (*encodings, schemas.Models, schemas.Items, schemas.Swaps, schemas.Problem, schemas.Media):
            for name, field in model.model_fields.items():
                for example in field.examples or ():
                    model.__pydantic_validator__.validate_assignment(model.model_construct(), name, example)

    def test_keys_are_described(self, document):
        schemes = document["components"]["securitySchemes"].values()
        assert {scheme["type"] for scheme in schemes} == {"http", "apiKey"}
        assert document["paths"]["/swap"]["post"]["security"]
