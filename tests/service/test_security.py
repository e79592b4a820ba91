"""What an answer lets a browser do, and what of an upload stays with its sender."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import os
import shutil
import subprocess

import httpx
import pytest
from serving import ROOT, apng, only, own_process, serving
from test_errors import clip, problem, sound

from service.app import create_app
from service.settings import Settings

FIXED = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.fixture(scope="module")
def guarded(weights_dir):
    app = create_app(
        Settings(
            weights_dir=weights_dir,
            decode_workers=1,
            threads=1,
            api_keys="key",
            cors_origins="https://a.example",
            max_upload_mb=0.1,
        )
    )

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    with serving(app) as client:
        yield client


def test_every_answer_has_the_headers(guarded):
    key = {"X-API-Key": "key"}
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    answers = {
        200: [
            *(guarded.get(path, headers=key) for path in ("/", "/docs", "/openapi.json", "/healthz", "/metrics")),
            guarded.get("/models", headers=key),
            guarded.post("/generate", json={}, headers=key),
            guarded.post("/encode", files={"file": apng(1)}, headers=key),
            guarded.options("/swap", headers=preflight),
        ],
        401: [guarded.get("/models"), guarded.post("/swap", files={"content": apng(1)})],
        404: [guarded.get("/nothing", headers=key)],
        405: [guarded.get("/swap", headers=key)],
        413: [guarded.post("/encode", files={"file": bytes(500_000)}, headers=key)],
        415: [guarded.post("/encode", files={"file": b"text"}, headers=key)],
        422: [guarded.post("/generate", json={"n": 0}, headers=key)],
        500: [guarded.get("/broken", headers=key)],
    }
    for status, several in answers.items():
        for answer in several:
            assert answer.status_code == status, answer.text
            assert FIXED.items() <= dict(answer.headers).items(), answer.url
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; ")
            assert "frame-ancestors 'none'" in policy
            assert "server" not in answer.headers


class Inline(html.parser.HTMLParser):
    """Scripts and styles that stand in a page, and whatever else its policy would have to allow."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.inside: str | None = None
        self.found: list[tuple[str, str]] = []
        self.forbidden: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style") and "src" not in dict(attrs):
            self.inside = tag
        self.forbidden += [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.found.append((self.inside, data))


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_runs_the_scripts_that_it_has_and_no_others(guarded, path):
    page = guarded.get(path)
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    inline = Inline(page.text)
    assert any(tag == "script" for tag, _ in inline.found) == (path == "/docs")
    for tag, text in inline.found:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy[f"{tag}-src"]
    assert not inline.forbidden
    assert "unsafe" not in policy["script-src"]
    assert policy["connect-src"] == "'self'"


CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(CHROMIUM is None, reason="there is no browser: apt-get install chromium")
def test_a_browser_shows_the_page(client, tmp_path):
    """Its script runs, and may ask the service."""
    shown = subprocess.run(
        [
            str(CHROMIUM),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={tmp_path}",
            "--enable-logging=stderr",
            "--virtual-time-budget=5000",
            "--dump-dom",
            str(client.base_url),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert '<option value="colour">' in shown.stdout, shown.stdout[-2000:]
    assert "Content Security Policy" not in shown.stderr


def test_nothing_of_an_upload_is_said(weights_dir, tmp_path):
    """Neither its name, nor what is in it, nor where it lies, in whatever way it fails, at the most talkative level."""
    log, name = tmp_path / "log", "secret-name.mp4"
    quoted = {"RWAE_LOG_LEVEL": "debug", "RWAE_LOG_FORMAT": "json", "RWAE_API_KEYS": "secret-key"}
    uploads = [
        b"secret-content of a text",
        b"#EXTM3U\nfile:///secret-content",
        b"RIFF\0\0\0\0WAVEsecret-content",
        b"secret-content" * 200_000,
        clip("mp4")[:-700] + b"secret-content",
        clip("gif")[:-500] + b"secret-content",
        sound("wav", "pcm_s16le") + b"secret-content",
        apng(1) + b"secret-content",
    ]
    with (
        own_process(only(weights_dir, tmp_path), log, **quoted) as (address, _),
        httpx.Client(base_url=address, timeout=60, headers={"X-API-Key": "secret-key"}) as client,
    ):
        answers = [client.post("/encode", files={"file": (name, data, f"video/{name}")}) for data in uploads]
        answers += [client.post("/swap", files={"content": (name, apng(1)), "motion": (name, uploads[0])})]
        answers += [client.post(f"/encode?{name}", data={"model": "secret-content", "file": name})]
        answers += [client.get(f"/{name}?secret-content"), client.post("/generate", content=b'"secret-content')]
        broken = {"Content-Type": "multipart/form-data; boundary=x"}
        for body in (b"--x\r\nsecret-content\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\nsecret-content"):
            answers += [client.post("/encode", content=body, headers=broken)]
        assert {answer.status_code for answer in answers} >= {200, 400, 404, 415, 422}
    for said in (log.read_text(), *(answer.text for answer in answers)):
        for secret in ("secret-name", "secret-content", "secret-key", str(tmp_path)):
            assert secret not in said
    for answer in answers:
        if answer.status_code != 200:
            assert str(ROOT) not in problem(answer, answer.status_code, answer.json().get("field"))
