"""Arrows run rwae_client ← service → rwae_core ← training; the model knows nothing of media, HTTP or datasets."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "rwae_core": {"training", "service", "rwae_client", "fastapi", "starlette", "uvicorn"},
    "training": {"service", "rwae_client", "fastapi", "starlette", "uvicorn"},
    "service": {"training"},
}
CLIENT_IMPORTS = {"httpx", "rwae_client"}


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_arrow_runs_sideways_or_back(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        roots = {name.split(".", maxsplit=1)[0] for name in imports(path)}
        assert not roots & FORBIDDEN[room], path


def test_the_client_needs_nothing_of_the_house() -> None:
    for path in (ROOT / "rwae_client").glob("*.py"):
        roots = {name.split(".", maxsplit=1)[0] for name in imports(path)}
        assert roots - sys.stdlib_module_names <= CLIENT_IMPORTS, path


def test_only_the_command_line_asks_as_a_client_does() -> None:
    for path in (ROOT / "service").rglob("*.py"):
        if "command" not in path.parts:
            assert not any(name.startswith(("rwae_client", "service.command")) for name in imports(path)), path


def test_the_model_does_not_import_media_and_media_does_not_import_torch() -> None:
    for path in (ROOT / "rwae_core").rglob("*.py"):
        names = imports(path)
        if "media" in path.parts:
            assert not any(name.split(".", maxsplit=1)[0] == "torch" for name in names), path
        else:
            assert not any(name.startswith("rwae_core.media") for name in names), path
