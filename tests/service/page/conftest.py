"""A browser, and a service with the weights that are shipped, in a process of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Visit
from playwright.sync_api import Browser, BrowserContext, sync_playwright
from serving import ROOT, own_process

FLAGS = (
    "--no-sandbox",  # containers' root has none
    "--use-fake-device-for-media-stream",  # a camera that shows a clock, a microphone that beeps
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Debian's Chromium, which plays H.264, or another one of the system."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        missing = "The page is tested in a browser, and there is none: apt-get install chromium"
        if os.environ.get("BROWSER_TESTS") == "required":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def service(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with all weights that are shipped."""
    log = tmp_path_factory.mktemp("page") / "log"
    with own_process(ROOT / "weights", log, RWAE_THREADS="2", RWAE_REQUEST_TIMEOUT_S="120") as (address, _):
        yield address


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write", "camera", "microphone"])
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture
def visit(context: BrowserContext, service: str) -> Iterator[Visit]:
    """The page, opened; at the end nothing was complained of, and no other host was asked."""
    visit = Visit(context.new_page(), service)
    visit.open()
    yield visit
    visit.check()


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder where a shell runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
