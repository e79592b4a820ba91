"""The report: results written, set beside those that were committed last, and shown in the README between marks."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, write
from benchmarks.section import Section

README = Path(__file__).parent / "README.md"


def publish(name: str, section: Section, machine: Mapping[str, Any], readme: Path = README) -> str:
    """Writes a section's results and its part of the README, which is returned."""
    shown = section.markdown(machine, committed(name))
    write(name, section.as_json(machine))
    readme.write_text(between(readme.read_text(), name, shown))
    return shown


def committed(name: str) -> Any:
    """The results that the last commit has under a name; none where it has none, or there is no repository."""
    found = subprocess.run(  # noqa: S603 (git, of names that are ours)
        ["git", "show", f"HEAD:./{name}.json"],  # noqa: S607
        cwd=RESULTS,
        capture_output=True,
        check=False,
    )
    return json.loads(found.stdout) if found.returncode == 0 else None


def between(text: str, name: str, generated: str) -> str:
    """The text with something else between the marks of a name; what stands around them stays.

    Raises:
        ValueError: it lacks the marks.
    """
    first, last = f"<!-- make bench: {name} -->", f"<!-- end: {name} -->"
    parts = re.compile(f"{re.escape(first)}.*?{re.escape(last)}", re.DOTALL)
    changed, count = parts.subn(lambda _: f"{first}\n\n{generated}\n\n{last}", text)
    if count != 1:
        raise ValueError(f"the page has to have '{first}' and '{last}' once, around what is written there")
    return changed
