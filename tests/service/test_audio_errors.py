"""Sounds that nobody should send, and what cannot be asked of models of sound."""

from __future__ import annotations

import shutil
import struct

import numpy as np
import pytest
from serving import apng, serving
from sounds import babble, file_of, sound_in, wav
from test_errors import clip, problem

from service.app import create_app
from service.settings import Settings

CODES = {"model": "voice", "z_c": [0.0] * 6, "z_m": [[0.0] * 4] * 3}


def with_sample(value):
    samples = babble(1)
    samples[1234] = value
    return file_of(samples, "WAV", "FLOAT")


def wav_of_rate(rate):
    data = bytearray(wav(1))
    struct.pack_into("<II", data, 24, rate, 2 * rate)
    return bytes(data)


MALFORMED = {
    "truncated WAV": (lambda: wav(1)[:-500], 400),
    "the header of a WAV alone": (lambda: wav(1)[:44], 400),
    "truncated FLAC": (lambda: file_of(babble(1), "FLAC")[:-500], 400),
    "truncated OGG": (lambda: file_of(babble(1, 5), "OGG", "VORBIS")[:-5000], 400),
    "truncated MP3": (lambda: file_of(babble(1, 5), "MP3")[:-5000], 400),
    "truncated MP4 of sound": (lambda: sound_in("mp4", "aac", 1)[:-500], 400),
    "no sample": (lambda: file_of(np.zeros((0, 1))), 400),
    "NaN": (lambda: with_sample(np.nan), 400),
    "infinity": (lambda: with_sample(-np.inf), 400),
    "3,999 samples a second": (lambda: wav_of_rate(3_999), 400),
    "200,000 samples a second": (lambda: wav_of_rate(200_000), 400),
    "9 channels": (lambda: file_of(babble(1, channels=9)), 413),
    "61 s": (lambda: file_of(np.zeros((61 * 16_000, 1))), 413),
    "61 s, a megabyte's thousandth": (lambda: file_of(np.zeros((61 * 16_000, 1)), "FLAC"), 413),
    "text": (lambda: b"hello, this is no sound\n" * 50, 415),
    "MIDI": (lambda: b"MThd" + bytes(100), 415),
    "empty": (lambda: b"", 400),
}


@pytest.mark.parametrize("model", [{}, {"model": "voice"}], ids=["by its bytes", "by name"])
@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_sounds(mixed, name, model):
    make, status = MALFORMED[name]
    data = make()
    problem(mixed.post("/encode", files={"file": ("secret-name.wav", data, "audio/wav")}, data=model), status, "file")
    files = {"content": wav(1), "motion": ("secret-name.wav", data)}
    problem(mixed.post("/swap", files=files, data=model), status, "motion")
    assert mixed.post("/encode", files={"file": wav(1)}, data=model).status_code == 200


def test_one_model_does_not_read_what_another_does(mixed):
    for data in (apng(1), clip("mp4"), clip("webm"), clip("gif")):
        assert "audio" in problem(mixed.post("/encode", files={"file": data}, data={"model": "voice"}), 422, "file")
        files = {"content": wav(1), "motion": data}
        problem(mixed.post("/swap", files=files, data={"model": "voice"}), 422, "motion")
    for data in (wav(1), sound_in("mp4", "aac", 1)):
        assert "video" in problem(mixed.post("/encode", files={"file": data}, data={"model": "colour"}), 422, "file")
        files = {"content": data, "motion": apng(1)}
        problem(mixed.post("/swap", files=files, data={"model": "colour"}), 422, "content")


def test_two_clips_of_different_modality(mixed):
    for sound in (wav(1), sound_in("webm", "libopus", 1)):
        for film in (apng(1), clip("mp4")):
            for content, motion in ((sound, film), (film, sound)):
                detail = problem(mixed.post("/swap", files={"content": content, "motion": motion}), 422, "motion")
                assert "two clips of one kind" in detail


def test_of_two_faults_the_first_is_told(mixed):
    problem(mixed.post("/swap", files={"content": wav(1)[:-9], "motion": b"text"}), 400, "content")
    problem(mixed.post("/swap", files={"content": b"text", "motion": wav(1)[:-9]}), 415, "content")


def test_a_damaged_upload_is_told_after_what_can_be_told_without_its_clip(mixed):
    damaged = {"content": wav(1)[:-9], "motion": wav(2)}
    for model in ({}, {"model": "voice"}):
        problem(mixed.post("/swap", files=damaged, data={"fps": "8", **model}), 422, "fps")
        problem(mixed.post("/swap", files=damaged, data={"format": "gif", **model}), 422, "format")
        problem(mixed.post("/swap", files=damaged, data=model), 400, "content")
    problem(mixed.post("/swap", files={**damaged, "motion": clip("mp4")}), 422, "motion")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate", {"fps": 10}, "fps"),
        ("/generate", {"scale": 2}, "scale"),
        ("/generate", {"format": "mp4"}, "format"),
        ("/generate", {"n": 2}, "format"),
        ("/generate", {"n": 2, "format": "wav"}, "format"),
        ("/generate", {"n": 301, "format": "json"}, "n"),
        ("/generate", {"frames": 6001}, "frames"),
        ("/generate", {"action": 0}, "action"),
        ("/generate", {"z_c": [0.0] * 5}, "z_c"),
        ("/generate", {"z_m": [[0.0] * 3]}, "z_m[0]"),
        ("/generate", {"z_m": [[0.0] * 4] * 3, "frames": 2}, "frames"),
        ("/decode", {**CODES, "fps": 10}, "fps"),
        ("/decode", {**CODES, "scale": 2}, "scale"),
        ("/decode", {**CODES, "format": "gif"}, "format"),
        ("/decode", {**CODES, "action": [1.0]}, "action"),
        ("/decode", {**CODES, "z_c": [0.0]}, "z_c"),
        ("/decode", {**CODES, "z_m": [[0.0] * 4] * 6001}, "z_m"),
        ("/decode", {**CODES, "model": "colour", "format": "wav"}, "format"),
        ("/generate", {"model": "colour", "format": "ogg"}, "format"),
    ],
)
def test_fields_out_of_bounds(mixed, path, body, field):
    problem(mixed.post(path, json={"model": "voice", **body}), 422, field)


@pytest.mark.parametrize(("name", "value"), [("fps", "8"), ("scale", "2"), ("format", "mp4")])
def test_form_fields_that_only_pictures_have(mixed, name, value):
    files = {"content": wav(1), "motion": wav(2)}
    assert (
        "sound" in (said := problem(mixed.post("/swap", files=files, data={name: value}), 422, name)) or "wav" in said
    )


def test_limits_of_sound_are_settings(mixed_dir):
    settings = Settings(weights_dir=mixed_dir, decode_workers=1, threads=1, max_seconds=1, max_generate=10)
    with serving(create_app(settings)) as client:
        assert client.post("/encode", files={"file": wav(1, 1.0)}).status_code == 200
        assert "1 s" in problem(client.post("/encode", files={"file": wav(1, 1.1)}), 413, "file")
        longest = round(mixed_columns_a_second(client))  # more than max_generate: what was uploaded can come back
        for n, status in ((longest, 200), (longest + 1, 422)):
            answer = client.post("/generate", json={"model": "voice", "frames": n})
            assert answer.status_code == status, answer.text
            answer = client.post("/decode", json={**CODES, "z_m": [[0.0] * len(CODES["z_m"][0])] * n})
            assert answer.status_code == status, answer.text


def mixed_columns_a_second(client):
    (voice,) = [model for model in client.get("/models").json()["models"] if model["id"] == "voice"]
    return 1 / voice["clip"]["hop_s"]


def test_where_no_audio_model_is_served(client):
    assert "no audio model" in problem(client.post("/encode", files={"file": wav(1)}), 422, "file")
    problem(client.post("/swap", files={"content": wav(1), "motion": wav(2)}), 422, "content")
    problem(client.post("/encode", files={"file": wav(1)}, data={"model": "voice"}), 404)


def test_where_only_audio_models_are_served(mixed_dir, tmp_path):
    shutil.copytree(mixed_dir / "voice", tmp_path / "voice")
    with serving(create_app(Settings(weights_dir=tmp_path, decode_workers=1, threads=1))) as client:
        assert client.get("/readyz").status_code == 200
        assert client.post("/encode", files={"file": wav(1)}).status_code == 200
        assert client.post("/encode", files={"file": sound_in("mp4", "aac", 1)}).status_code == 200
        assert "no video model" in problem(client.post("/encode", files={"file": apng(1)}), 422, "file")
        problem(client.post("/encode", files={"file": b"text"}), 415, "file")
        assert "voice" in problem(client.post("/generate", json={}), 404)
        (example,) = client.get("/openapi.json").json()["components"]["schemas"]["DecodeRequest"]["examples"]
        assert client.post("/decode", json=example).status_code == 200
