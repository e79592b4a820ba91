"""The local server's HTTP tests, for servers that are started in other ways."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import test_audio
import test_audio_errors
import test_contract
import test_errors
import test_metrics
import test_stream

MODULES = (test_contract, test_errors, test_audio, test_audio_errors, test_stream, test_metrics)
SERVERS = {"client", "mixed", "small"}
"""Fixtures that a module with these tests has to have: clients of servers of `weights_dir`, of `mixed_dir`, and of
`weights_dir` with uploads of at most 0.25 MB."""
HERE = {"app", "caplog", "mixed_dir", "monkeypatch", "process", "tmp_path", "weights_dir"}
"""Fixtures of tests that start a server of their own, or look into it."""


def contract(modules: Sequence[ModuleType] = MODULES, left_out: Sequence[Callable[..., object]] = ()) -> dict[str, Any]:
    """Every test that asks `SERVERS` alone, but those left out, and the fixtures between: to be put into a module.

    Names are told apart by the module they come from.
    """
    found: dict[str, Any] = {"document": test_contract.document}
    for module in modules:
        for name, test in vars(module).items():
            if getattr(test, "__module__", None) != module.__name__ or test in left_out:
                continue
            asked = _fixtures(test, module)
            if asked & SERVERS and not asked & HERE:
                kind, _, rest = name.partition("_") if name.startswith("test_") else ("Test", "", name[4:])
                found[f"{kind}_{module.__name__.removeprefix('test_')}_{rest}"] = test
    return found


def _fixtures(test: object, module: ModuleType) -> set[str]:
    """What a test, or those of a class, ask for; nothing for what is no test."""
    if inspect.isclass(test) and test.__name__.startswith("Test"):
        return set().union(*(_fixtures(each, module) for name, each in vars(test).items() if name.startswith("test_")))
    if inspect.isfunction(test) and (test.__name__.startswith("test_")):
        return set(inspect.signature(test).parameters)
    return set()
