"""Evaluations as one HTML page that stands alone: tables, pictures, films and sounds are inside it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape

from PIL import Image

from training.evaluation.findings import Evaluation, Picture
from training.evaluation.show import Row, Table

WIDE = 1100
"""Pictures with more pixels in a row scroll sideways; squeezed into the page their clips would be too small to see."""
FILM_SCALE = 2
STYLE = """
:root { color-scheme: light dark; --line: #ccc; --quiet: #595959; --back: #f2f2f2; }
@media (prefers-color-scheme: dark) { :root { --line: #555; --quiet: #b0b0b0; --back: #2a2a2a; } }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem;
  overflow-wrap: anywhere; }
h2 { margin-top: 3rem; border-top: 1px solid var(--line); padding-top: 1rem; }
.scroll { overflow-x: auto; margin: .5rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
h3 { margin: 2rem 0 .5rem; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
tbody th { text-align: left; font-weight: normal; }
tbody.printed { font-style: italic; background: var(--back); }
tbody.printed th[scope=rowgroup] { color: var(--quiet); font-size: .875rem; padding-top: .75rem; }
.note, figcaption { color: var(--quiet); font-size: .875rem; }
.pictures { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
figure { margin: 0; max-width: 100%; }
figcaption { max-width: 44rem; }
img, video { max-width: 100%; height: auto; background: #fff; }
.scroll img { max-width: none; }
.film { image-rendering: pixelated; }
""".strip()
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:"
"""What is forbidden to a page that needs nothing: it loads nothing and runs nothing, whatever a caption holds."""


def html(title: str, evaluations: Sequence[Evaluation], tables: Sequence[Table]) -> str:
    """The page: for each dataset its tables, then each model with its pictures.

    Args:
        title: Of the page.
        evaluations: Whose pictures are shown.
        tables: What `show.tables` makes of them.
    """
    datasets = dict.fromkeys([table.dataset for table in tables] + [evaluation.dataset for evaluation in evaluations])
    contents: list[str] = []
    sections: list[str] = []
    for dataset in datasets:
        key = f"dataset-{len(contents) + 1}"
        shown = [
            (f"{key}-model-{number}", evaluation)
            for number, evaluation in enumerate((e for e in evaluations if e.dataset == dataset), 1)
        ]
        links = "".join(f'<li><a href="#{anchor}">{escape(found.model)}</a></li>' for anchor, found in shown)
        contents.append(
            f'<li><a href="#{key}">{escape(dataset)}</a>' + (f"\n<ul>{links}</ul>" if links else "") + "</li>"
        )
        sections += [
            f'<section id="{key}" aria-labelledby="{key}-title">\n<h2 id="{key}-title">{escape(dataset)}</h2>',
            *(_table(table) for table in tables if table.dataset == dataset),
            *(_model(anchor, evaluation) for anchor, evaluation in shown),
            "</section>",
        ]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{STYLE}\n</style>",
            "</head>",
            "<body>",
            f"<header>\n<h1>{escape(title)}</h1>",
            f'<nav aria-label="Datasets and models">\n<ul>\n{chr(10).join(contents)}\n</ul>\n</nav>\n</header>',
            "<main>",
            *sections,
            "</main>",
            "</body>",
            "</html>\n",
        ]
    )


def _table(table: Table) -> str:
    title = table.title if table.number is None else f"{table.title} (Table {table.number} of the paper)"
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in table.columns)
    bodies = [f"<tbody>\n{_rows([row for row in table.rows if not row.printed])}\n</tbody>"]
    if printed := [row for row in table.rows if row.printed]:
        apart = f'<tr><th scope="rowgroup" colspan="{1 + len(table.columns)}">As printed by others</th></tr>'
        bodies.append(f'<tbody class="printed">\n{apart}\n{_rows(printed)}\n</tbody>')
    note = f'\n<p class="note">{escape(table.note)}</p>' if table.note else ""
    inside = "\n".join([f"<thead><tr><td></td>{head}</tr></thead>", *bodies])
    # Not a caption: it would be as wide, or as narrow, as the table, and scroll away with it.
    return f"<h3>{escape(title)}</h3>\n" + _scroll(title, f"<table>\n{inside}\n</table>") + note


def _rows(rows: Sequence[Row]) -> str:
    return "\n".join(
        f'<tr><th scope="row">{escape(row.name)}</th>' + "".join(f"<td>{escape(c)}</td>" for c in row.cells) + "</tr>"
        for row in rows
    )


def _model(anchor: str, found: Evaluation) -> str:
    judge = ", ".join(f"{name} {value:.2f} %" for name, value in found.judge.items())
    facts = [
        found.method,
        f"{found.clips} test sequences",
        f"{found.repeats} repeats, seeds from {found.seed}",
        *([f"judge right on real ones: {judge}"] if judge else []),
    ]
    figures = "\n".join(_figure(picture, found.model) for picture in found.pictures)
    return "\n".join(
        [
            f'<article id="{anchor}" aria-labelledby="{anchor}-title">',
            f'<h3 id="{anchor}-title">{escape(found.model)}</h3>',
            f'<p class="note">{escape("; ".join(facts))}</p>',
            f'<div class="pictures">\n{figures}\n</div>\n</article>',
        ]
    )


def _figure(picture: Picture, model: str) -> str:
    number = "" if picture.figure is None else f" (Fig. {picture.figure} of the paper)"
    return (
        f"<figure>\n{_medium(picture, model)}\n<figcaption>{escape(picture.caption + number)}</figcaption>\n</figure>"
    )


def _medium(picture: Picture, model: str) -> str:
    """The element that shows or plays it; what it is of is told to those who do not see it."""
    caption = escape(picture.caption)
    if picture.media_type.startswith("video/"):
        return f'<video controls loop muted playsinline aria-label="{caption}" src="{picture.url}"></video>'
    if picture.media_type.startswith("audio/"):
        return f'<audio controls aria-label="{caption}" src="{picture.url}"></audio>'
    if picture.media_type == "image/svg+xml":
        return f'<img alt="{caption}" src="{picture.url}">'
    with Image.open(io.BytesIO(picture.data)) as image:
        width, height = image.size
    film = picture.media_type == "image/gif"
    if film:
        width, height = FILM_SCALE * width, FILM_SCALE * height
    kind = ' class="film"' if film else ""
    if picture.film is not None:
        # It plays by itself, as a GIF does, and can be stopped.
        return (
            f'<video{kind} width="{width}" height="{height}" controls autoplay loop muted playsinline '
            f'aria-label="{caption}" src="{picture.url}"></video>'
        )
    shown = f'<img{kind} width="{width}" height="{height}" alt="{caption}" src="{picture.url}">'
    return _scroll(f"{model}, {picture.name}", shown) if width > WIDE and not film else shown


def _scroll(label: str, inside: str) -> str:
    """A region that scrolls sideways, also from the keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(label)}">\n{inside}\n</div>'
