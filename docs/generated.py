"""Writes the pages of the reference that the code itself knows best: the calls, the command line, the settings."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.app import create_app
from service.settings import Settings

CALLS = ("get", "post")


def write(folder: Path) -> None:
    """Writes `http.md`, `openapi.json`, `command-line.md` and `settings.md`; what has not changed is left alone."""
    document = create_app(Settings()).openapi()
    pages = {
        "http.md": "\n".join(_http(document)),
        "openapi.json": json.dumps(document, indent=1),
        "command-line.md": _command_line(),
        "settings.md": "\n".join(_settings()),
    }
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text + "\n":
            path.write_text(text + "\n")


def _http(document: Mapping[str, Any]) -> Iterator[str]:
    yield "# HTTP\n"
    yield "As the service's own `/openapi.json` has it ({download}`that document <openapi.json>`); `/docs` of a running"
    yield "service lets you try each call.\n"
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            if method in CALLS:
                yield from _call(document, f"{method.upper()} {path}", call)
    yield "## Fields of answers\n"
    for name, schema in document["components"]["schemas"].items():
        if _is_answer(name) and schema.get("properties"):
            yield f"### {name}\n"
            yield f"{schema.get('description', '')}\n"
            yield from _fields(document, schema)


def _is_answer(name: str) -> bool:
    return not name.endswith(("Request", "Form"))


def _call(document: Mapping[str, Any], title: str, call: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{call.get('description') or call.get('summary', '')}\n"
    for media_type, body in call.get("requestBody", {}).get("content", {}).items():
        yield f"Takes `{media_type}`:\n"
        yield from _fields(document, _resolved(document, body["schema"]))
    yield "| status | answer |\n|---|---|"
    for status, answer in call["responses"].items():
        kinds = ", ".join(f"`{kind}`" for kind in answer.get("content", {}))
        yield f"| {status} | {_cell(answer['description'])}{f': {kinds}' if kinds else ''} |"
    yield ""


def _fields(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Iterator[str]:
    yield "| field | type | meaning |\n|---|---|---|"
    needed = schema.get("required", ())
    for name, field in schema["properties"].items():
        default = field.get("default")
        more = (
            " **Needed.**" if name in needed else f" Default: `{json.dumps(default)}`." if default is not None else ""
        )
        kind = _kind(document, field)
        yield f"| `{name}` | {_cell(kind)} | {_cell(field.get('description', ''))}{more} |"
    yield ""


def _kind(document: Mapping[str, Any], field: Mapping[str, Any]) -> str:
    """The type of a field in words, with its bounds."""
    if "$ref" in field:
        return f"`{field['$ref'].rsplit('/', maxsplit=1)[-1]}`"
    for several in ("anyOf", "oneOf"):
        if several in field:
            return " or ".join(_kind(document, each) for each in field[several])
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("type") == "array":
        return f"list of {_kind(document, field.get('items', {}))}"
    if field.get("format") == "binary" or "contentMediaType" in field:
        return "file"
    low, high = field.get("minimum"), field.get("maximum")
    bounds = (f" from {low:,}" if low is not None else "") + (f" to {high:,}" if high is not None else "")
    return f"{field.get('type', 'anything')}{bounds}"


def _resolved(document: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in schema:
        return document["components"]["schemas"][schema["$ref"].rsplit("/", maxsplit=1)[-1]]
    return schema


def _command_line() -> str:
    """What typer itself writes of the commands, with examples as blocks."""
    run = [sys.executable, "-m", "typer", "service.command.verbs", "utils", "docs", "--name", "rwae"]
    root = Path(__file__).parent.parent
    written = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root).stdout  # noqa: S603
    lines = ["# Command line"]
    for line in written.splitlines()[1:]:
        is_example = line.startswith("`") and line.endswith("`")
        lines.append("```sh\n" + line.strip("`") + "\n```" if is_example else line)
    return "\n".join(lines)


def _settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "Environment variables of the service, and of `rwae` where it answers by itself. Empty ones count as unset.\n"
    yield "| variable | default | meaning |\n|---|---|---|"
    for name, field in Settings.model_fields.items():
        plain = None if field.default_factory or field.default in (None, ()) else field.default
        shown = ",".join(plain) if isinstance(plain, tuple) else plain
        default = "" if shown is None else f"`{shown}`"
        yield f"| `RWAE_{name.upper()}` | {default} | {_cell(field.description or '')} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
