"""Arrows run service → rwae_core ← training; the model knows nothing of media, HTTP or datasets."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "rwae_core": {"training", "service", "fastapi", "starlette", "uvicorn"},
    "training": {"service", "fastapi", "starlette", "uvicorn"},
    "service": {"training"},
}


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


def test_the_model_does_not_import_media_and_media_does_not_import_torch() -> None:
    for path in (ROOT / "rwae_core").rglob("*.py"):
        names = imports(path)
        if "media" in path.parts:
            assert not any(name.split(".", maxsplit=1)[0] == "torch" for name in names), path
        else:
            assert not any(name.startswith("rwae_core.media") for name in names), path
