"""Draws the page anew for the documentation: `python tests/service/page/screenshots.py http://localhost:8000`."""

from __future__ import annotations

import io
import shutil
import sys
import time
from pathlib import Path

from browsing import Visit, until
from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).parents[3] / "docs" / "page"
SIZES = {"desktop": (1280, 900, "light"), "phone": (390, 844, "dark"), "voices": (1280, 900, "light")}


def main(address: str) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, (width, height, scheme) in SIZES.items():
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            visit = Visit(page, address)
            visit.open()
            media = "audio" if name == "voices" else "video"
            if media == "audio":
                visit.use_model("librispeech")
            visit.swap(media)
            page.get_by_label("Seed").fill("7")
            page.get_by_role("button", name="Show it").click()
            page.get_by_role("button", name="Generate", exact=True).click()
            until(lambda page=page, media=media: page.locator(f".panels {media}").count() == 2)
            time.sleep(0.6)  # they have begun to move
            shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
            shot.quantize(256, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
            visit.check()
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
