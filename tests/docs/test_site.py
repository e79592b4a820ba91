"""The site builds without a warning, asks no other host, and has the pictures that its script draws."""

from __future__ import annotations

import html
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fences import ROOT

LOADED = re.compile(
    r"""<(?:script|img|source|video|audio|iframe|link rel="stylesheet")[^>]*(?:src|href)="(?:https?:)?//"""
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make docs` builds."""
    site = tmp_path_factory.mktemp("site")
    strictly = ["--fail-on-warning", "--keep-going", "--quiet", "-b", "html", "-d", str(site / ".doctrees")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", *strictly, "docs", str(site)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return site


def test_nothing_is_loaded_from_another_host(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        assert not LOADED.findall(page.read_text()), page
    for style in site.rglob("*.css"):
        assert not re.findall(r"(?:url\(|@import )['\"]?(?:https?:)?//", style.read_text()), style


def test_the_reference_has_calls_commands_settings_and_docstrings(site: Path) -> None:
    def text(name: str) -> str:
        return html.unescape(re.sub(r"<[^>]+>", "", (site / "reference" / f"{name}.html").read_text()))

    for told in ("POST /swap", "log-spectral distance", "Too many requests wait"):
        assert told in text("http")
    assert "rwae interpolate" in text("command-line")
    assert "RWAE_MAX_UPLOAD_MB" in text("settings")
    client = text("client")
    assert client.count("How frames become square") == 2, "of both clients"
    assert "→ Encoding" in client
    assert "Encoder, recurrent prior and decoder of R-WAE" in text("core")


def test_pages_show_the_pictures_that_the_script_draws(tmp_path: Path) -> None:
    specification = importlib.util.spec_from_file_location("pictures", ROOT / "docs" / "pictures.py")
    pictures = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(pictures)
    pictures.main(tmp_path)
    drawn = {path.name for path in tmp_path.iterdir()}
    assert drawn == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}
    shown = "".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    assert drawn == set(re.findall(r"\(pictures/([^)]+)\)", shown))
    assert all((tmp_path / name).stat().st_size > 5_000 for name in drawn)
