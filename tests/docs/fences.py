"""Finds the examples of pages and of `--help`, and tells those that run here from those that only others can run."""

from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = {"http.md", "command-line.md", "settings.md"}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *(
        page
        for page in sorted((ROOT / "docs").rglob("*.md"))
        if not (page.parent.name == "reference" and page.name in GENERATED)
    ),
]
EXAMPLES = {"sh", "python", "js"}
TEXT = {"", "nginx", "{toctree}", "{eval-rst}"}
"""What else may stand in a fence: layouts of folders, a proxy's configuration, what Sphinx makes pages of."""

FENCE = re.compile(r"^```(\S*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """A fence of a page, or a line of a `--help`.

    Attributes:
        where: Page and line, or the command.
        language: Of `EXAMPLES`.
        text: What is in it.
    """

    where: str
    language: str
    text: str

    def __str__(self) -> str:
        return self.where


def fences(page: Path) -> list[Example]:
    """All fences of a page."""
    text = page.read_text()
    return [
        Example(f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}", found[1], found[2])
        for found in FENCE.finditer(text)
    ]


def statements(script: str) -> list[str]:
    """The statements of a shell script, each of one line or of several."""
    found: list[str] = []
    lines: list[str] = []
    for line in script.splitlines():
        lines.append(line)
        whole = "\n".join(lines)
        checked = subprocess.run(["bash", "-n"], input=whole.encode(), stderr=subprocess.DEVNULL, check=False)  # noqa: S607
        if line.endswith("\\") or checked.returncode:
            continue
        if whole.strip() and not whole.lstrip().startswith("#"):
            found.append(whole)
        lines = []
    assert not lines, f"this is no shell: {lines}"
    return found


def commands(statement: str) -> list[list[str]]:
    """The words of each command of a statement, without the variables that are set before it."""
    words = shlex.shlex(statement.replace("\\\n", " "), posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, "#"
    found: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set(";|&()") or word in {"do", "done"}:
            found.append([])
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word)
    return [command for command in found if command]


def module_of(command: list[str]) -> str | None:
    """The module that a command runs, `python -m module …`."""
    return command[command.index("-m") + 1] if command[0] in {"python", "torchrun"} and "-m" in command else None
