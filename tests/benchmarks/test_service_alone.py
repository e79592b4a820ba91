"""The benchmarks that start the service run against the real one; how fast a machine is, is no test."""

import os

import pytest
import torch

from benchmarks import growth, service
from benchmarks.ceilings import Ceilings
from benchmarks.machine import CPU
from tests.benchmarks.cores import TWO_CORES

pytestmark = TWO_CORES


def test_it_measures_the_service_beside_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STARTS": 1, "SWAPS": 3, "GENERATED": 2, "WARM_UP": 1}.items():
        monkeypatch.setattr(service, name, value)
    rates = dict.fromkeys((torch.float32, torch.bfloat16), 1e11)
    monkeypatch.setattr(service, "ceilings", lambda device: Ceilings(rates, rates, 1e10))
    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    found = {name: row["measured"] for name, row in service.measure().rows.items()}
    parts = sum(value for name, value in found.items() if name.startswith("its parts alone"))
    assert found["/swap, times its parts"] == pytest.approx(found["/swap of two clips over HTTP, ms"] / parts)
    assert found["the most that the core's ceilings allow"] < 1e11 / 5e7  # a frame takes more
    assert found["memory after that (PSS), MB"] > 50
    assert (os.sched_getaffinity(0), torch.get_num_threads()) == (cores, threads)


def test_it_measures_more_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"CLIENTS": (1, 8), "CLIENTS_S": 1.0, "WARM_UP_S": 0.2}.items():
        monkeypatch.setattr(growth, name, value)
    curve = growth.of_clients()
    assert curve.sizes == (1, 8)
    assert all(rate > 0 for rate in curve.rates)
    assert curve.seconds[1] > curve.seconds[0] > 0


def test_it_measures_longer_clips_and_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FRAMES": (1, 2), "CLIPS": (1, 2), "SIZES": (64, 128), "WIDTHS": ("sprites",)}.items():
        monkeypatch.setattr(growth, name, value)
    monkeypatch.setattr("benchmarks.clock.FOR_S", 0.0)
    model = growth.served(CPU)["sprites"]
    curves = [*growth.of_the_model(model), *growth.of_pixels(CPU)]
    assert [curve.unit for curve in curves] == ["frames", "frames", "pairs", "pixels"]
    assert all(second > 0 for curve in curves for second in curve.seconds)
