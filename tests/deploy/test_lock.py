"""The lock has everything that an image may have, in versions that the project allows."""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from importlib import metadata

import pytest
from deployed import DEPLOY, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("serve", "otel", "cluster")
HERE = {"python_full_version": "3.11.9", "python_version": "3.11", "sys_platform": "linux", "extra": ""}


def locked() -> dict[str, list[Requirement]]:
    found = defaultdict(list)
    for line in (DEPLOY / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            found[canonicalize_name(requirement.name)].append(requirement)
    return found


def version(name: str) -> str:
    """The one version of a package for the image's Python."""
    (found,) = [each for each in locked()[canonicalize_name(name)] if not each.marker or each.marker.evaluate(HERE)]
    (specifier,) = found.specifier
    assert specifier.operator == "=="
    return specifier.version


def asked(extra: str | None) -> list[Requirement]:
    listed = PROJECT["optional-dependencies"][extra] if extra else PROJECT["dependencies"]
    return [requirement for requirement in map(Requirement, listed) if requirement.name != PROJECT["name"]]


@pytest.mark.parametrize("extra", [None, *EXTRAS])
def test_what_the_project_asks_for_is_locked(extra):
    for requirement in asked(extra):
        assert requirement.specifier.contains(version(requirement.name)), requirement


def test_what_that_asks_for_is_locked_too():
    """As far as it is installed here: everything that `serve` and `otel` bring, to any depth."""
    left = [requirement for extra in (None, "serve", "otel") for requirement in asked(extra)]
    seen: set[str] = set()
    while left:
        requirement = left.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or (requirement.marker and not requirement.marker.evaluate(HERE)):
            continue
        seen.add(name)
        assert name in locked(), f"{name} is missing: make lock"
        for needed in map(Requirement, metadata.requires(name) or []):
            if not needed.marker or any(
                needed.marker.evaluate({**HERE, "extra": extra}) for extra in ("", *requirement.extras)
            ):
                left.append(Requirement(re.sub(r";.*", "", str(needed))))
    assert len(seen) > 30


def test_torch_is_that_of_the_constraints():
    (constraint,) = re.findall(r"^torch==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert version("torch") == constraint
