"""The page stands alone, says what it is told and no more, and a browser plays what is in it."""

import json
import shutil
import subprocess
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from rwae_core.media.encode import encode_audio, encode_video
from training.evaluation import page
from training.evaluation.findings import Evaluation, Picture
from training.evaluation.show import Row, Table

HOSTILE = "<script>alert(1)</script>\"' onload=x & http://example.org/x.js"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="30" height="20"><rect width="30" height="20"/></svg>'
EMPTY = {"meta", "img"}


def film(width: int = 48) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.RandomState(0).randint(0, 256, (5, 32, width, 3), dtype=np.uint8)


PICTURES = (
    Picture("swap", "Swaps.", "image/gif", encode_video(film(240), 8, "gif"), 2),
    Picture("swap-sheet", "Swaps, side by side.", "image/png", encode_video(film(300), 8, "png"), 2),
    Picture("plot", f"A plot of {HOSTILE}", "image/svg+xml", SVG),
    Picture("film", "A film.", "video/mp4", encode_video(film(), 8, "mp4")),
    Picture("sound", "A voice.", "audio/wav", encode_audio(np.sin(np.arange(8000) / 9) / 2, 16000)),
)
EVALUATIONS = (
    Evaluation("first", "R-WAE", "sprites", 2664, 3, 5, {"action": 99.96}, (), PICTURES),
    Evaluation(HOSTILE, "DS-VAE", "sprites", 2664, 3, 5, {}, (), PICTURES[:1]),
    Evaluation("digits", "R-WAE", "sm-mnist", 10000, 0, 1, {}, ()),
)
TABLES = (
    Table(
        "sprites",
        "Swap; error %",
        "2,664 sequences.",
        ("action", "hair & " + "wide " * 40),
        (Row("first", ("0.0", "1 ± 2")), Row(HOSTILE, ("<3", "")), Row("DS-VAE (S)", ("8.11", ".06"), printed=True)),
        4,
    ),
    Table("sm-mnist", "Digit; error %", "", ("T = 10",), (Row("digits", ("1.78",)),)),
)


class Parsed(HTMLParser):
    """Elements with their attributes and text; every start has its end."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.printed: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.elements.append((tag, found))
        if tag not in EMPTY:
            self.open.append(f"{tag}.{found.get('class', '')}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().split(".")[0] == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if "tbody.printed" in self.open and data.strip():
            self.printed.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag in tags]


@pytest.fixture(scope="module")
def text() -> str:
    return page.html(f"Models {HOSTILE}", EVALUATIONS, TABLES)


def test_the_page_loads_nothing_and_runs_nothing(text: str) -> None:
    parsed = Parsed(text)
    assert not parsed.all("script", "link", "iframe", "object", "embed", "base", "form")
    for tag, attributes in parsed.elements:
        assert not [name for name in attributes if name.startswith("on")], tag
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
    assert "url(" not in page.STYLE
    assert "@import" not in page.STYLE
    (policy,) = [found["content"] for found in parsed.all("meta") if "http-equiv" in found]
    assert policy.startswith("default-src 'none'")


def test_what_others_wrote_is_shown_as_they_wrote_it(text: str) -> None:
    words = Parsed(text).words
    assert words.count(HOSTILE) == 3, "in the contents, in the table and above its pictures"
    assert f"Models {HOSTILE}" in words
    assert f"A plot of {HOSTILE}" in words
    assert "<3" in words


def test_every_picture_is_there_and_is_told_in_words(text: str) -> None:
    parsed = Parsed(text)
    assert len(parsed.all("img", "video", "audio")) == 6 == len(parsed.all("figure"))
    assert [found["alt"] for found in parsed.all("img")] == [p.caption for p in (*PICTURES[:3], PICTURES[0])]
    assert [found["aria-label"] for found in parsed.all("video", "audio")] == ["A film.", "A voice."]
    for found, picture in zip(parsed.all("img", "video", "audio"), PICTURES, strict=False):
        assert found["src"] == picture.url
    assert "controls" in parsed.all("video")[0]
    assert "Swaps. (Fig. 2 of the paper)" in parsed.words


def test_contents_lead_to_datasets_and_models(text: str) -> None:
    parsed = Parsed(text)
    anchors = [found["id"] for _, found in parsed.elements if "id" in found]
    assert len(anchors) == len(set(anchors))
    links = [found["href"].removeprefix("#") for found in parsed.all("a")]
    assert len(links) == 2 + 3
    assert {*links, *(found["aria-labelledby"] for found in parsed.all("section", "article"))} <= set(anchors)


def test_what_others_print_is_apart(text: str) -> None:
    parsed = Parsed(text)
    assert parsed.printed == ["As printed by others", "DS-VAE (S)", "8.11", ".06"]
    assert "Swap; error % (Table 4 of the paper)" in parsed.words
    assert [found["scope"] for found in parsed.all("th")].count("row") == 4


def test_a_browser_shows_and_plays_it_on_a_phone(text: str, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("there is no browser: apt-get install chromium")
    look = """
      const inside = document.querySelector("iframe").contentDocument;
      const films = [...inside.querySelectorAll("video, audio")];
      const ready = () => films.every(film => film.readyState >= 2 || film.error);
      const tell = () => document.body.dataset.found = JSON.stringify({
        images: [...inside.images].map(image => image.naturalWidth),
        films: films.map(film => film.error ? film.error.message : film.duration),
        wide: inside.documentElement.scrollWidth,
        scrolling: [...inside.querySelectorAll(".scroll")].map(region => region.scrollWidth > region.clientWidth),
        scripts: inside.scripts.length,
      });
      const wait = () => ready() ? tell() : setTimeout(wait, 50);
      wait();"""
    (tmp_path / "phone.html").write_text(
        f'<meta charset="utf-8"><iframe width="390" height="800" srcdoc="{escape(text)}"></iframe>'
        f"<script>onload = () => {{{look}}}</script>"
    )
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000", "--dump-dom"]
    shown = subprocess.run(
        [*command, f"--user-data-dir={tmp_path / 'profile'}", (tmp_path / "phone.html").as_uri()],
        capture_output=True,
        check=True,
        text=True,
        timeout=120,
    ).stdout
    found = json.loads(unescape(shown.split('data-found="')[1].split('"')[0]))
    assert found["images"] == [240, 1500, 30, 240]
    assert found["films"] == [pytest.approx(5 / 8, abs=0.01), pytest.approx(0.5)]
    assert found["wide"] <= 390, "only tables and wide pictures scroll sideways"
    assert found["scrolling"] == [True, True, False]
    assert found["scripts"] == 0


def test_a_gif_plays_as_its_film_where_there_is_one() -> None:
    moving = Picture("swap", "Swaps.", "image/gif", PICTURES[0].data, film=PICTURES[3].data)
    (shown,) = Parsed(
        page.html("Models", [Evaluation("first", "R-WAE", "sprites", 1, 0, 1, {}, (), (moving,))], ())
    ).all("img", "video")
    assert shown["src"] == PICTURES[3].url != PICTURES[0].url
    assert {"controls", "autoplay", "loop", "muted"} <= set(shown)
    assert (shown["width"], shown["height"]) == ("480", "64"), "as large as the GIF is shown"
