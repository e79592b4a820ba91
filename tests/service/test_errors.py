"""Every row of the table of errors, and uploads that nobody should send."""

from __future__ import annotations

import io
import json
import re
import signal
import socket
import struct
import sys
import tempfile
import zipfile
import zlib

import av
import httpx
import numpy as np
import pytest
from PIL import Image
from serving import ROOT, apng, moving, own_process, resident_mb, serving, wait_for

from rwae_core.media.encode import encode_video
from service import schemas
from service.app import JSON_BYTES, create_app
from service.settings import Settings

PROBLEM = "application/problem+json"
CODES = {"z_c": [0.0] * 6, "z_m": [[0.0] * 4] * 3}


def problem(response, status, field=None):
    """Checks that an answer is a problem of RFC 9457 that gives nothing away, and returns its detail."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == PROBLEM
    said = response.json()
    schemas.Problem.model_validate(said)
    assert set(said) - {"field"} == {"type", "title", "status", "detail", "request_id"}
    assert said["status"] == status
    assert said["request_id"] == response.headers["x-request-id"]
    assert said.get("field") == field, said
    assert re.search(r"[.:)\]]$", said["detail"]), said["detail"]
    assert len(said["detail"]) > 20
    for secret in ("Traceback", ".py", str(ROOT), tempfile.gettempdir(), "site-packages", "<class", "secret-name"):
        assert secret not in response.text
    return said["detail"]


def test_unknown_paths_methods_and_models(client):
    problem(client.get("/nothing"), 404)
    assert "POST" in client.get("/swap").headers["allow"]
    problem(client.get("/swap"), 405)
    assert "colour, grey" in problem(client.post("/generate", json={"model": "nobody"}), 404)
    files = {"content": apng(1), "motion": apng(2)}
    problem(client.post("/swap", files=files, data={"model": "nobody"}), 404)
    problem(client.post("/encode", files={"file": apng(1)}, data={"model": "../colour"}), 404)
    problem(client.post("/decode", json={**CODES, "model": "broken"}), 404)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/generate", {"scale": 17}, "scale"),
        ("/generate", {"scale": 0}, "scale"),
        ("/generate", {"fps": 0}, "fps"),
        ("/generate", {"fps": 241}, "fps"),
        ("/generate", {"n": 0}, "n"),
        ("/generate", {"n": 1025}, "n"),
        ("/generate", {"frames": 0}, "frames"),
        ("/generate", {"frames": 1025}, "frames"),
        ("/generate", {"n": 129, "frames": 8}, "n"),
        ("/generate", {"n": 1.5}, "n"),
        ("/generate", {"seed": -1}, "seed"),
        ("/generate", {"seed": 2**63}, "seed"),
        ("/generate", {"temperature": -0.1}, "temperature"),
        ("/generate", {"format": "avi"}, "format"),
        ("/generate", {"action": 0}, "action"),
        ("/generate", {"action": 3, "model": "weak"}, "action"),
        ("/generate", {"frame": 8}, "frame"),
        ("/generate", {"z_c": [0.0] * 5}, "z_c"),
        ("/generate", {"z_c": []}, "z_c"),
        ("/generate", {"z_c": ["a"] * 6}, "z_c[0]"),
        ("/generate", {"z_c": [[0.0] * 6]}, "z_c[0]"),
        ("/generate", {"z_c": [1e7] + [0.0] * 5}, "z_c[0]"),
        ("/generate", {"z_m": []}, "z_m"),
        ("/generate", {"z_m": [0.0] * 4}, "z_m[0]"),
        ("/generate", {"z_m": [[0.0] * 4, [0.0] * 3]}, "z_m[1]"),
        ("/generate", {"z_m": [[0.0] * 4] * 9, "frames": 8}, "frames"),
        ("/generate", {"scale": 16, "frames": 65}, "scale"),
        ("/generate", {"scale": 16, "n": 9}, "scale"),
        ("/generate", {"scale": 16, "n": 9, "frames": 8, "format": "json"}, "scale"),
        ("/generate", [], "body"),
        ("/decode", {"z_m": CODES["z_m"]}, "z_c"),
        ("/decode", {"z_c": CODES["z_c"]}, "z_m"),
        ("/decode", {**CODES, "z_c": [0.0] * 7}, "z_c"),
        ("/decode", {**CODES, "z_m": []}, "z_m"),
        ("/decode", {**CODES, "z_m": [[0.0] * 4] * 1025}, "z_m"),
        ("/decode", {**CODES, "action": [1.0]}, "action"),
        ("/decode", {**CODES, "model": "weak"}, "action"),
        ("/decode", {**CODES, "model": "weak", "action": [0.5, 0.5]}, "action"),
        ("/decode", {**CODES, "model": "grey"}, "z_c"),
    ],
)
def test_fields_out_of_bounds(client, path, body, field):
    problem(client.post(path, json=body), 422, field)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400", "1e39"])
def test_codes_that_are_no_numbers(client, number):
    json_ = {"Content-Type": "application/json"}
    body = json.dumps(CODES).replace("0.0", number, 1)
    problem(client.post("/decode", content=body, headers=json_), 422, "z_c[0]")
    problem(client.post("/generate", content=f'{{"temperature": {number}}}', headers=json_), 422, "temperature")
    problem(client.post("/generate", content=f'{{"fps": {number}}}', headers=json_), 422, "fps")


def test_what_nobody_thought_of_gives_nothing_away(weights_dir, caplog):
    app = create_app(Settings(weights_dir=weights_dir, decode_workers=1))
    with serving(app) as client:
        media, app.state.media = app.state.media, None
        detail = problem(client.post("/encode", files={"file": apng(1)}), 500)
        assert "request_id" in detail
        assert "NoneType" not in detail
        assert "AttributeError" in caplog.text, "the log knows"
        app.state.media = media
        assert client.post("/encode", files={"file": apng(1)}).status_code == 200


def test_bodies_that_are_no_json(client):
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"{", b'{"n": 1', b"\xff\xfe\x00", b"[1, 2"):
        assert client.post("/generate", content=body, headers=headers).status_code in (400, 422)
    problem(client.post("/generate", content=b"[" * 100_000, headers=headers), 400)
    problem(client.post("/generate", content=b'{"n": %s}' % (b"9" * 5000), headers=headers), 400)
    assert "application/json" in problem(client.post("/generate", content=b'{"n": 1}'), 422, "body")
    assert "bytes" in problem(client.post("/generate", content=b" " * (JSON_BYTES + 1), headers=headers), 413)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scale": "17"}, "scale"),
        ({"scale": "two"}, "scale"),
        ({"fps": "nan"}, "fps"),
        ({"fps": "inf"}, "fps"),
        ({"fit": "squeeze"}, "fit"),
        ({"format": "wav"}, "format"),
        ({"typo": "1"}, "typo"),
        ({"model": "x" * 101}, "model"),
    ],
)
def test_form_fields_out_of_bounds(client, fields, field):
    problem(client.post("/swap", files={"content": apng(1), "motion": apng(2)}, data=fields), 422, field)


def test_the_answers_size_is_bounded_by_the_upload_too(client):
    long = apng(1, frames=100)
    problem(client.post("/swap", files={"content": apng(1), "motion": long}, data={"scale": "16"}), 422, "scale")
    both = {"scale": "16", "format": "json"}
    problem(client.post("/swap", files={"content": long, "motion": apng(1)}, data=both), 422, "scale")


def png_chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_header(width, height, frames=None):
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return data + (b"" if frames is None else png_chunk(b"acTL", struct.pack(">II", frames, 0)))


def still(form):
    file = io.BytesIO()
    Image.fromarray(moving(1)[0]).save(file, form)
    return file.getvalue()


def sound(form, codec, layout="mono"):
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        stream = container.add_stream(codec, rate=16000 if codec != "libopus" else 48000, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout=layout)
        frame.rate = stream.rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return file.getvalue()


def zipped():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("clip.mp4", "no clip")
    return file.getvalue()


def clip(form, **kw):
    return encode_video(moving(1, **kw), 8, form)


def many_gif_frames(count):
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + (b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0") * count + b";"


FFCONCAT = b"ffconcat version 1.0\nfile /etc/passwd\n"
HLS = b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
MALFORMED = {
    "empty": (lambda: b"", 400),
    "one byte": (lambda: b"\0", 415),
    "text": (lambda: b"hello, this is no clip\n" * 50, 415),
    "html": (lambda: b"<!doctype html><html></html>", 415),
    "ffconcat": (lambda: FFCONCAT, 415),
    "ffconcat with a byte order mark": (lambda: b"\xef\xbb\xbf" + FFCONCAT, 415),
    "HLS": (lambda: HLS, 415),
    "DASH": (lambda: b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', 415),
    "SVG": (lambda: b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', 415),
    "ZIP": (zipped, 415),
    "noise": (lambda: np.random.default_rng(0).bytes(100_000), 415),
    "zeros": (lambda: bytes(100_000), 415),
    "a still PNG": (lambda: still("PNG"), 415),
    "a still JPEG": (lambda: still("JPEG"), 415),
    "a still WebP": (lambda: still("WEBP"), 415),
    "a BMP": (lambda: still("BMP"), 415),
    "truncated MP4": (lambda: clip("mp4")[:-500], 400),
    "the first bytes of an MP4": (lambda: clip("mp4")[:40], 400),
    "truncated WebM": (lambda: clip("webm")[:300], 400),
    "truncated GIF": (lambda: clip("gif")[:-500], 400),
    "truncated WebP": (lambda: clip("webp")[:-500], 400),
    "truncated APNG": (lambda: clip("apng")[:-500], 400),
    "an APNG of damaged pictures": (lambda: clip("apng")[:300] + bytes(200) + clip("apng")[500:], 400),
    "a GIF without a frame": (lambda: many_gif_frames(0), 400),
    "a GIF of 100,000 frames": (lambda: many_gif_frames(100_000), 413),
    "an APNG that says it has 1,000,000 frames": (lambda: png_header(64, 64, 1_000_000), 413),
    "an APNG header of 30,000×30,000": (lambda: png_header(30_000, 30_000, 2), 413),
    "a GIF header of 30,000×30,000": (lambda: b"GIF89a" + struct.pack("<HHBBB", 30_000, 30_000, 0, 0, 0) + b";", 413),
    "a clip of 600 frames": (lambda: clip("gif", frames=600, size=16), 413),
    "WAV": (lambda: sound("wav", "pcm_s16le"), 422),
    "FLAC": (lambda: sound("flac", "flac"), 422),
    "OGG": (lambda: sound("ogg", "libopus"), 422),
    "sound alone in an MP4": (lambda: sound("mp4", "aac"), 422),
    "sound alone in a WebM": (lambda: sound("webm", "libopus"), 422),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_uploads(client, name):
    make, status = MALFORMED[name]
    data = make()
    problem(client.post("/encode", files={"file": ("secret-name.mp4", data, "video/mp4")}), status, "file")
    files = {"content": ("secret-name.mp4", apng(1)), "motion": ("secret-name.mp4", data)}
    problem(client.post("/swap", files=files), status, "motion")


def test_of_two_faults_the_first_is_told(client):
    files = {"content": clip("gif", frames=600, size=16), "motion": b"text"}
    for _ in range(3):
        problem(client.post("/swap", files=files), 413, "content")


def test_parts_that_are_no_files(client):
    good = ("a.png", apng(1))
    problem(client.post("/swap", files={"content": good}), 422, "motion")
    assert "filename" in problem(client.post("/swap", files={"content": good, "motion": (None, "x")}), 422, "motion")
    problem(client.post("/swap", files={"content": good, "motion": ("", b"")}), 422, "motion")
    problem(client.post("/swap", files={"content": good, "motion": ("b.png", b"")}), 400, "motion")
    problem(client.post("/encode", json={"file": "x"}), 422, "file")
    problem(client.post("/encode", data={"file": "x"}), 422, "file")
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    problem(client.post("/encode", content=b"no form", headers=form), 400)
    problem(client.post("/encode", content=b"", headers={"Content-Type": "multipart/form-data"}), 400)
    cut = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nabc'
    problem(client.post("/encode", content=cut, headers=form), 422, "file")


@pytest.fixture(scope="module")
def small(weights_dir):
    """A service that takes little."""
    with serving(create_app(Settings(weights_dir=weights_dir, max_upload_mb=0.25, decode_workers=1))) as client:
        yield client


class TestSizes:
    def test_a_file_of_too_many_bytes(self, small):
        files = {"content": bytes(300_000), "motion": apng(1)}
        problem(small.post("/swap", files=files), 413, "content")
        problem(small.post("/encode", files={"file": bytes(400_000)}), 413)

    def test_is_refused_before_it_is_sent(self, small):
        """`Content-Length` tells, and the body never comes."""
        url = small.base_url
        head = f"POST /encode HTTP/1.1\r\nHost: {url.host}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        with socket.create_connection((url.host, url.port), timeout=10) as connection:
            connection.sendall(f"{head}Content-Length: 99999999999\r\n\r\n".encode())
            assert connection.recv(100).startswith(b"HTTP/1.1 413")

    def test_is_refused_while_it_is_sent_where_nothing_tells(self, small):
        sent = 0

        def endless():
            nonlocal sent
            yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            while sent < 200:
                sent += 1
                yield bytes(100_000)

        form = {"Content-Type": "multipart/form-data; boundary=x"}
        problem(small.post("/encode", content=endless(), headers=form), 413)

    def test_json_has_its_own_bound(self, small):
        head = {"Content-Type": "application/json"}
        problem(small.post("/decode", content=(bytes(2**20) for _ in range(4)), headers=head), 413)


@pytest.fixture(scope="module")
def process(weights_dir, tmp_path_factory):
    """A service in a process of its own: the address and the process."""
    log = tmp_path_factory.mktemp("process") / "log"
    with own_process(weights_dir, log) as (address, started):
        yield address, started, log


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")
def test_malformed_uploads_leave_nothing_behind(process):
    address, started, log = process
    with httpx.Client(base_url=address, timeout=60) as client:
        for _ in range(20):  # what a working service keeps anyway
            client.post("/swap", files={"content": apng(1), "motion": clip("mp4")}).raise_for_status()
            client.post("/generate", json={"n": 4, "frames": 16}).raise_for_status()
        before = resident_mb(started.pid)
        for make, status in MALFORMED.values():
            files = {"content": ("secret-name.mp4", make()), "motion": ("secret-name.mp4", apng(1))}
            assert client.post("/swap", files=files).status_code == status
        client.post("/encode", files={"file": bytes(33 * 2**20)})
        assert client.post("/swap", files={"content": apng(1), "motion": clip("mp4")}).status_code == 200
        assert resident_mb(started.pid) < before + 50
    said = log.read_text()
    assert "secret-name" not in said
    assert "Traceback" not in said


def test_a_signal_lets_running_requests_end(process):
    """The last test on this process."""
    address, started, log = process
    url = httpx.URL(address)
    body = json.dumps({"frames": 8, "seed": 1, "format": "json"}).encode()
    head = (
        f"POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port), timeout=30) as connection:
        connection.sendall(head.encode() + body[:10])
        wait_for(lambda: httpx.get(f"{address}/healthz").status_code == 200)
        started.send_signal(signal.SIGTERM)
        wait_for(lambda: "Shutting down" in log.read_text())
        connection.sendall(body[10:])
        answer = b""
        while received := connection.recv(65536):
            answer += received
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"seed":1' in answer
    assert started.wait(30) == 0
    assert "Traceback" not in log.read_text()
