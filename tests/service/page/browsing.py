"""A visit to the page, as somebody with a browser makes it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import ConsoleMessage, Locator, Page, Request

ANSWERED = "Failed to load resource: the server responded with a status of 4"
"""What Chromium says in the console of every answer that is a problem."""


class Visit:
    """One page, and everything that went wrong on it.

    Attributes:
        page: Playwright's.
        asked: Addresses of the requests that it made.
    """

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.asked: list[str] = []
        self._faults: list[str] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._faults.append(f"{error}"))
        page.on("request", self._requested)

    def open(self, path: str = "/") -> None:
        self.page.goto(self.address + path)
        if path == "/":
            self.wait_for_codes()

    def wait_for_codes(self) -> None:
        """Until both clips are encoded."""
        until(lambda: self.page.locator("#sources .curves").count() == 2)

    def swap(self, media: str = "video") -> None:
        self.page.get_by_role("button", name="Swap").click()
        until(lambda: self.page.locator(f"#swaps {media}").count() == 2)

    def use_model(self, name: str) -> None:
        self.page.get_by_label("Model").select_option(name)
        self.wait_for_codes()

    def check(self) -> None:
        """No error or warning in the console, no request to another host."""
        assert self._faults == []
        hosts = {urlsplit(url).netloc for url in self.asked if not url.startswith(("blob:", "data:"))}
        assert hosts == {urlsplit(self.address).netloc}

    def violations(self) -> list[str]:
        """What axe finds on the page as it is."""
        found = Axe().run(self.page).response["violations"]
        return [
            f"{each['impact']} {each['id']}: {node['html']} {node['any']}" for each in found for node in each["nodes"]
        ]

    def saved(self, link: Locator, folder: Path) -> bytes:
        """What a link to save gives; the file is then in the folder."""
        with self.page.expect_download() as download:
            link.click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path.read_bytes()

    def copied(self) -> str:
        """The command on the page, by way of the clipboard."""
        self.page.get_by_role("button", name="Copy", exact=True).click()
        until(lambda: self.page.get_by_role("button", name="Copied").is_visible())
        return self.page.evaluate("navigator.clipboard.readText()")

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(ANSWERED):
            self._faults.append(message.text)

    def _requested(self, request: Request) -> None:
        self.asked.append(request.url)


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something to be so. Playwright's own way needs `eval`, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def times(players: Locator) -> list[float]:
    """Where each player is, in seconds."""
    return players.evaluate_all("(players) => players.map((player) => player.currentTime)")


def ran(command: str, folder: Path) -> None:
    """Runs a command as a shell does."""
    subprocess.run(["sh", "-c", command], cwd=folder, check=True, timeout=60)  # noqa: S607
