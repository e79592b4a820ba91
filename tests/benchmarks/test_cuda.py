"""The benchmark for GPUs, as far as a CPU goes: all of it runs, and its bounds are told."""

import pytest
import torch

from benchmarks import agreement, clock, cuda
from tests.training.test_methods import small


def test_every_figure_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "ITERATIONS", 6)
    monkeypatch.setattr(clock, "FOR_S", 0.0)
    monkeypatch.setattr(cuda, "PRESETS", (cuda.SIMPLE, cuda.COMPLEX))
    monkeypatch.setattr(cuda.preset, "load", {name: small(name) for name in cuda.PRESETS}.__getitem__)
    section = cuda.measure(torch.device("cpu"))
    assert set(cuda.PRESETS) < set(section.rows)
    for name in cuda.PRESETS:
        assert section.rows[name]["× plain"] > 0
    bounds = [verdict.what for verdict in section.verdicts]
    assert any("roll-out" in what for what in bounds)
    assert any("reconstruction, from the plain path" in what for what in bounds)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert cuda.main([]) == 2
    assert "no GPU" in capsys.readouterr().err
