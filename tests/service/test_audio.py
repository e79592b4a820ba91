"""Every call, every field and every form of answer for sound, over real HTTP."""

from __future__ import annotations

import base64
import io
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import soundfile
import torch
from serving import CPU, apng, held, own_process, resident_mb, serving
from sounds import EXAMPLES, RATE, babble, file_of, samples_of, sound_in, wav
from test_errors import problem

from rwae_core.media.process import DecodingProcess
from rwae_core.moments import moments
from rwae_core.speech import SpectrumConfig, analyse
from service import schemas
from service.app import create_app
from service.engine import Engine
from service.settings import Settings
from service.verbs.audio import CEILING, Decode, Encode, Generate, Swap, limited
from service.verbs.base import Codes
from service.weights_folder import load_library

HOP = 160
WEIGHTS = EXAMPLES.parent / "weights"
FORMS = {"wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg"}
INPUTS = {
    "wav, 8 kHz, 1 channel": ("WAV", "PCM_16", 8_000, 1),
    "wav, 11.025 kHz, µ-law": ("WAV", "ULAW", 11_025, 1),
    "wav, 48 kHz, 2 channels, floats": ("WAV", "FLOAT", 48_000, 2),
    "wav, 192 kHz, 24 bits": ("WAV", "PCM_24", 192_000, 1),
    "wav, 4 kHz, 8 bits": ("WAV", "PCM_U8", 4_000, 1),
    "wav, 8 channels": ("WAV", "PCM_16", 16_000, 8),
    "flac, 44.1 kHz, 2 channels": ("FLAC", "PCM_16", 44_100, 2),
    "ogg, 22.05 kHz": ("OGG", "VORBIS", 22_050, 1),
    "opus, 48 kHz, 2 channels": ("OGG", "OPUS", 48_000, 2),
    "mp3, 44.1 kHz, 2 channels": ("MP3", "MPEG_LAYER_III", 44_100, 2),
    "mp3, 16 kHz": ("MP3", "MPEG_LAYER_III", 16_000, 1),
}


def swap(client, content, motion, **fields):
    response = client.post("/swap", files={"content": content, "motion": motion}, data=fields)
    assert response.status_code == 200, response.text
    return response


def encode(client, data, **fields):
    response = client.post("/encode", files={"file": data}, data=fields)
    assert response.status_code == 200, response.text
    return response.json()


def generate(client, **body):
    response = client.post("/generate", json={"model": "voice", **body})
    assert response.status_code == 200, response.text
    return response


def codes(steps, content_dim=6, motion_dim=4):
    rng = np.random.default_rng(steps)
    return {"z_c": rng.normal(size=content_dim).tolist(), "z_m": rng.normal(size=(steps, motion_dim)).tolist()}


def test_models(mixed):
    colour, voice, whisper = mixed.get("/models").json()["models"]
    assert [model["default"] for model in (colour, voice, whisper)] == [True, True, False]
    assert (colour["modality"], voice["modality"], whisper["modality"]) == ("video", "audio", "audio")
    assert voice["clip"] == {"frames": 20, "bins": 200, "sample_rate": RATE, "hop_s": 0.01}
    assert whisper["clip"]["frames"] == 10
    assert (voice["content_dim"], voice["motion_dim"], voice["actions"]) == (6, 4, 0)


@pytest.mark.parametrize(("model", "dims"), [("voice", (6, 4)), ("whisper", (5, 3))])
def test_encode(mixed, model, dims):
    answer = encode(mixed, wav(1, 1.234), model=model)
    assert set(answer) == set(schemas.AudioEncoding.model_fields)
    assert (answer["model"], answer["modality"], answer["frames"]) == (model, "audio", 124)
    assert answer["hop_s"] == 0.01
    assert len(answer["z_c"]) == dims[0]
    assert [len(step) for step in answer["z_m"]] == [dims[1]] * 124
    assert answer["action"] is answer["seed"] is None
    assert 1 < answer["lsd_db"] < 100
    assert answer == encode(mixed, wav(1, 1.234), model=model), "means are not drawn"


def test_lsd_is_of_what_the_codes_decode_to(mixed_dir):
    model = load_library(mixed_dir, [CPU]).find("voice")
    network = model.networks[CPU]
    wave = babble(1, 0.4)[:, 0].astype(np.float32)  # two windows of the model
    (encoded,) = Encode.run(network, [Encode(wave)])
    truth = analyse(torch.from_numpy(wave)[None], SpectrumConfig())[0].unflatten(0, (2, 20))
    latents = network.infer(truth, of=moments(truth.flatten(0, 1)[None]).expand(2, -1, -1), sample=False).latents
    np.testing.assert_allclose(encoded.codes.z_c, latents.z_c.mean(0).detach(), atol=1e-5)
    kept = type(latents)(latents.z_c.mean(0).expand(2, -1), latents.z_m)
    decibels = 100 * (network.decode(kept) - truth).detach().numpy().reshape(40, 200)
    assert encoded.lsd_db == pytest.approx(np.sqrt((decibels**2).mean(1)).mean(), rel=1e-4)


def test_encode_samples_by_seed(mixed):
    drawn = encode(mixed, wav(1), sample="true")
    assert encode(mixed, wav(1), sample="true", seed=drawn["seed"]) == drawn
    assert encode(mixed, wav(1), sample="true")["z_m"] != drawn["z_m"]


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_is_read_and_its_length_kept(mixed, name):
    form, subtype, rate, channels = INPUTS[name]
    seconds = 0.7
    data = file_of(babble(2, seconds, rate, channels), form, subtype, rate)
    length = round(round(seconds * rate) * RATE / rate)
    made = samples_of(swap(mixed, wav(1), data).content)
    assert len(made) == length
    assert np.abs(made).max() > 1e-3
    assert encode(mixed, data)["frames"] == -(-length // HOP)


@pytest.mark.parametrize("samples", [1, 159, 800, 801, 16_001, 160_000])
def test_a_swap_is_as_long_as_the_motion_to_the_sample(mixed, samples):
    motion = file_of(babble(2, 11)[:samples])
    assert len(samples_of(swap(mixed, wav(1, 0.05), motion).content)) == samples
    assert len(samples_of(swap(mixed, motion, wav(1, 0.05)).content)) == 800


@pytest.mark.parametrize("form", FORMS)
def test_every_form_opens_elsewhere(mixed, form):
    truth = samples_of(swap(mixed, wav(1), wav(2)).content)
    response = swap(mixed, wav(1), wav(2), format=form)
    assert response.headers["content-type"] == FORMS[form]
    assert response.headers["x-model"] == "voice"
    found = samples_of(response.content)
    assert found.shape == truth.shape
    if form == "ogg":
        assert np.corrcoef(found, truth)[0, 1] > 0.5, "random networks make hiss, of which Vorbis keeps the rough shape"
    else:
        assert (found == truth).all()
    for path, body in (("/generate", {"seed": 1}), ("/decode", codes(7))):
        response = mixed.post(path, json={**body, "model": "voice", "format": form})
        assert response.headers["content-type"] == FORMS[form]
        assert len(samples_of(response.content)) == (20 if path == "/generate" else 7) * HOP


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "audio/wav"),
        ("audio/*", "audio/wav"),
        ("audio/flac", "audio/flac"),
        ("audio/wav;q=0.1, audio/ogg", "audio/ogg"),
        ("audio/wav;q=0, audio/*", "audio/flac"),
        ("application/json, */*", "application/json"),
        ("video/mp4", "audio/wav"),
    ],
)
def test_accept_chooses_among_the_forms_of_sound(mixed, accept, media_type):
    response = mixed.post("/generate", json={"model": "voice"}, headers={"Accept": accept})
    assert response.headers["content-type"] == media_type


def test_swap_in_json_goes_both_ways(mixed):
    content, motion = wav(1, 0.5), wav(2, 0.8)
    answer = swap(mixed, content, motion, format="json").json()
    assert set(answer) == {"model", "swaps"}
    there, back = answer["swaps"]
    assert (there["content"], there["motion"], there["media_type"]) == ("content", "motion", "audio/wav")
    assert (back["content"], back["motion"]) == ("motion", "content")
    assert base64.b64decode(there["data"], validate=True) == swap(mixed, content, motion).content
    assert base64.b64decode(back["data"], validate=True) == swap(mixed, motion, content).content


def test_decode_and_generate_in_json_say_their_codes(mixed):
    said = codes(30)
    answer = mixed.post("/decode", json={**said, "model": "voice", "format": "json"}).json()
    assert set(answer) == {"model", "seed", "items"}
    (item,) = answer["items"]
    np.testing.assert_allclose(item["z_m"], said["z_m"], atol=1e-6)
    data = base64.b64decode(item["data"])
    assert data == mixed.post("/decode", json={**said, "model": "voice"}).content
    assert len(samples_of(data)) == 30 * HOP

    made = generate(mixed, n=3, frames=25, format="json").json()
    assert len(made["items"]) == 3
    assert generate(mixed, n=3, frames=25, format="json", seed=made["seed"]).json() == made
    waves = []
    for item in made["items"]:
        assert item["media_type"] == "audio/wav"
        assert item["action"] is None
        assert len(item["z_m"]) == 25
        again = mixed.post("/decode", json={"z_c": item["z_c"], "z_m": item["z_m"], "model": "voice"}).content
        waves += [samples_of(base64.b64decode(item["data"])), samples_of(again)]
        assert len(waves[-1]) == len(waves[-2]) == 25 * HOP
    spectra = analyse(torch.from_numpy(np.stack(waves)).float(), SpectrumConfig()).mean(1)
    apart = 100 * torch.cdist(spectra, spectra) / 200**0.5
    assert apart[0, 1] < 0.5 * apart[0, 2], "other phases, the same levels; other codes have others"


def test_generate(mixed):
    first = generate(mixed)
    assert len(samples_of(first.content)) == 20 * HOP, "the model's own length"
    seed = int(first.headers["x-seed"])
    assert generate(mixed, seed=seed).content == first.content
    assert generate(mixed).content != first.content
    kept = generate(mixed, z_c=[0.5] * 6, z_m=[[0.1] * 4, [1.0] * 4], frames=5, n=2, format="json").json()["items"]
    for item in kept:
        assert item["z_c"] == [0.5] * 6
        np.testing.assert_allclose(item["z_m"][:2], [[0.1] * 4, [1.0] * 4], atol=1e-6)
    assert kept[0]["z_m"][2:] != kept[1]["z_m"][2:]
    assert len(samples_of(generate(mixed, z_m=[[0.0] * 4] * 31).content)) == 31 * HOP, "nothing that is given is cut"
    cold = generate(mixed, n=2, temperature=0, format="json").json()["items"]
    assert cold[0]["z_c"] == cold[1]["z_c"] == [0.0] * 6
    alone = generate(mixed, seed=5, format="json").json()["items"][0]
    among = generate(mixed, seed=5, n=3, format="json").json()["items"][0]
    np.testing.assert_allclose(alone["z_m"], among["z_m"], atol=1e-4)
    waves = [samples_of(base64.b64decode(item["data"])) for item in (alone, among)]
    np.testing.assert_allclose(*waves, atol=2e-3)


def test_the_bytes_decide_which_model_reads(mixed):
    assert encode(mixed, apng(1))["model"] == "colour"
    assert encode(mixed, wav(1))["model"] == "voice"
    assert encode(mixed, wav(1), model="whisper")["model"] == "whisper"
    named = mixed.post("/encode", files={"file": ("film.mp4", wav(1), "video/mp4")})
    assert named.json() == encode(mixed, wav(1))
    assert mixed.post("/generate", json={"seed": 1}).headers["x-model"] == "colour", "as the contract says"


@pytest.mark.parametrize(("muxer", "codec"), [("mp4", "aac"), ("ipod", "aac"), ("webm", "libopus")])
def test_a_container_with_sound_alone_is_sound(mixed, muxer, codec):
    data = sound_in(muxer, codec, 2)
    answer = encode(mixed, data)
    assert (answer["model"], answer["modality"]) == ("voice", "audio")
    assert 48 <= answer["frames"] <= 54, "half a second, and what an encoder adds"
    assert len(samples_of(swap(mixed, wav(1), data).content)) > 7000


def test_a_film_with_sound_is_what_the_model_says(mixed):
    film = sound_in("mp4", "aac", 1, pictures=5)
    assert encode(mixed, film)["model"] == "colour"
    assert encode(mixed, film, model="voice")["modality"] == "audio"
    assert len(samples_of(swap(mixed, film, wav(2), model="voice").content)) == 8000
    detail = problem(mixed.post("/swap", files={"content": film, "motion": wav(2)}), 422, "motion")
    assert "name the model" in detail


def test_what_only_pictures_have_is_refused_where_it_asks_for_something(mixed):
    plain = swap(mixed, wav(1), wav(2)).content
    assert swap(mixed, wav(1), wav(2), fit="pad", scale="1", fps="", format="").content == plain


def test_swaps_of_the_shipped_weights_do_not_click():
    """At segment borders the largest jump from one sample to the next is no larger than elsewhere."""
    files = [(EXAMPLES / f"voice_{name}.wav").read_bytes() for name in "ab"]
    with serving(create_app(Settings(weights_dir=WEIGHTS, decode_workers=1, threads=1))) as client:
        for content, motion in (files, files[::-1]):
            wave = samples_of(swap(client, content, motion, model="librispeech").content)
            assert len(wave) == soundfile.info(io.BytesIO(motion)).frames
            jumps = np.abs(np.diff(wave))
            near = np.abs((np.arange(len(jumps)) + 10 * HOP) % (20 * HOP) - 10 * HOP) < 6
            assert near.sum() > 100
            assert jumps[near].max() <= jumps[~near].max()
            assert np.sqrt((jumps[near] ** 2).mean()) < 2 * np.sqrt((jumps[~near] ** 2).mean())


class TestLimiter:
    def test_what_does_not_clip_stays_as_it_is(self):
        wave = torch.from_numpy(babble(1, 2).T).float()
        assert limited(wave, 80) is wave

    def test_a_peak_is_turned_down_and_all_else_kept(self):
        wave = torch.from_numpy(babble(1, 2).T).float()
        wave = wave / wave.abs().max() * 0.9
        wave[0, 9_900:10_100] *= 3
        made = limited(wave, 80)
        assert made.abs().max() <= CEILING
        assert wave.abs().max() > 1.2
        far = torch.ones(wave.shape[1], dtype=torch.bool)
        far[9_900 - 161 : 10_100 + 161] = False
        assert torch.equal(made[:, far], wave[:, far])
        gain = (made / wave)[0][wave[0].abs() > 1e-3]
        assert gain.diff().abs().max() < 0.05, "smoothly"

    def test_short_waves(self):
        torch.testing.assert_close(
            limited(torch.tensor([[2.0, -1.0]]), 80), torch.tensor([[1.0, -0.5]]), atol=1e-4, rtol=0
        )


def test_answers_do_not_depend_on_what_else_is_asked(mixed_dir):
    """To the bit, and so to the byte of a file."""
    library = load_library(mixed_dir, [CPU])
    engine, model = Engine(library, [CPU]), library.find("voice")
    waves = [babble(seed, 0.3 + seed / 10)[:, 0].astype(np.float32) for seed in range(3)]
    said = codes(9)
    kept = Codes(np.array(said["z_c"], np.float32), np.array(said["z_m"], np.float32))
    works = [
        *(Encode(wave) for wave in waves),
        *(Encode(wave, seed=4) for wave in waves),
        *(Swap(waves[0], wave, both=True) for wave in waves),
        *(Generate(2, 12, seed) for seed in range(3)),
        *(Decode(kept) for _ in range(2)),
    ]
    alone = [engine.submit(model, work).result().value for work in works]
    with held(engine):
        futures = [engine.submit(model, work) for work in reversed(works)]
    together = [future.result().value for future in reversed(futures)]
    engine.close()
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(arrays(one), arrays(other), strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(alone[3].codes.z_m, alone[0].codes.z_m)


def arrays(value):
    if isinstance(value, (np.ndarray, float)):
        return [value]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    return [] if value is None else arrays(list(vars(value).values()))


def test_half_precision_is_near(mixed_dir):
    library = load_library(mixed_dir, [CPU])
    engine, model = Engine(library, [CPU], dtype=torch.bfloat16), library.find("voice")
    wave = babble(1)[:, 0].astype(np.float32)
    near = engine.submit(model, Encode(wave)).result().value
    (exact,) = Encode.run(model.networks[CPU], [Encode(wave)])
    (swapped,) = engine.submit(model, Swap(wave, wave)).result().value
    engine.close()
    assert 0 < np.abs(near.codes.z_m - exact.codes.z_m).max() < 0.2
    assert swapped.shape == wave.shape
    assert np.isfinite(swapped).all()


def test_silence_and_full_scale(mixed):
    silent = file_of(np.zeros((4000, 1)))
    assert swap(mixed, wav(1), silent).content == swap(mixed, wav(1), silent).content, "phases are drawn by a seed"
    loud = file_of(np.sign(babble(1, 0.5)))
    assert np.abs(samples_of(swap(mixed, loud, loud).content)).max() <= 1
    assert encode(mixed, silent)["lsd_db"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")
def test_a_minute_swaps_in_bounded_memory_and_blocks_nobody(mixed_dir, tmp_path):
    voice, _ = soundfile.read(EXAMPLES / "voice_a.wav", always_2d=True)
    minute = file_of(np.resize(voice, (60 * RATE, 1)), "FLAC")
    took, grown = [], []
    with (
        own_process(mixed_dir, tmp_path / "log", RWAE_THREADS="1", RWAE_REQUEST_TIMEOUT_S="300") as (address, service),
        httpx.Client(base_url=address, timeout=300) as client,
        httpx.Client(base_url=address, timeout=30) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        swap(client, wav(1), wav(2))
        before = resident_mb(service.pid)
        swapping = pool.submit(swap, client, minute, minute, format="json")
        while not swapping.done():
            started = time.monotonic()
            assert other.get("/healthz").status_code == 200
            took.append(time.monotonic() - started)
            grown.append(resident_mb(service.pid) - before)
            time.sleep(0.01)
        there, back = swapping.result().json()["swaps"]
    assert len(samples_of(base64.b64decode(there["data"]))) == 60 * RATE
    assert there["data"] == back["data"], "content and motion are the same"
    print(f"healthz: median {np.median(took):.3f} s, longest {max(took):.3f} s; memory: {max(grown):.0f} MB")
    assert len(took) >= 10, "or it was too short to tell"
    assert np.median(took) < 0.2
    assert max(took) < 2
    assert 10 < max(grown) < 300


def test_each_upload_is_one_message_to_a_decoding_process(mixed, monkeypatch):
    asked, ask = [], DecodingProcess.ask
    monkeypatch.setattr(DecodingProcess, "ask", lambda *given: asked.append(given[0]) or ask(*given))
    for content, motion in ((wav(1), wav(2)), (sound_in("mp4", "aac", 1), sound_in("webm", "libopus", 2))):
        for model in ({}, {"model": "voice"}):
            asked.clear()
            assert mixed.post("/swap", files={"content": content, "motion": motion}, data=model).status_code == 200
            assert len(asked) == 2


def test_defaults_are_of_their_modality(mixed_dir, caplog):
    library = load_library(mixed_dir, [CPU], "voice", "whisper")
    assert library.defaults == {"video": "colour", "audio": "whisper"}
    assert "'voice' is not among the video models" in caplog.text
    with caplog.at_level(logging.ERROR):
        assert load_library(mixed_dir, [CPU], default_audio="none").defaults["audio"] == "voice"
    assert "'none' is not among the audio models" in caplog.text


def test_settings_choose_the_default_audio_model(mixed_dir):
    with serving(
        create_app(Settings(weights_dir=mixed_dir, decode_workers=1, threads=1, default_audio_model="whisper"))
    ) as client:
        assert encode(client, wav(1))["model"] == "whisper"
        assert encode(client, apng(1))["model"] == "colour"


class TestOpenAPI:
    def test_examples_work_as_they_stand(self, mixed):
        described = mixed.get("/openapi.json").json()["components"]["schemas"]
        for path, name in (("/decode", "DecodeRequest"), ("/generate", "GenerateRequest")):
            types = []
            for example in described[name]["examples"]:
                response = mixed.post(path, json=example)
                assert response.status_code == 200, response.text
                types.append(response.headers["content-type"])
            assert types == ["image/gif", "audio/flac"]

    def test_answers_of_either_modality_are_described(self, mixed):
        document = mixed.get("/openapi.json").json()
        answer = document["paths"]["/encode"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        assert {one["$ref"].rpartition("/")[2] for one in answer["oneOf"]} == {"VideoEncoding", "AudioEncoding"}
        clip = document["components"]["schemas"]["ModelInfo"]["properties"]["clip"]
        assert {one["$ref"].rpartition("/")[2] for one in clip["anyOf"]} == {"VideoShape", "AudioShape"}
        for field, schema in document["components"]["schemas"]["AudioEncoding"]["properties"].items():
            assert schema.get("description") or field in ("model", "modality"), field
        forms = document["components"]["schemas"]["GenerateRequest"]["properties"]["format"]["anyOf"][0]["enum"]
        assert set(FORMS) < set(forms)
