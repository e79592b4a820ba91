"""What is counted is what a hand counts; a floor is the slower of computing and moving."""

import torch
from torch import nn
from torch._subclasses import FakeTensorMode

from benchmarks import ceilings, presets
from benchmarks.ceilings import Ceilings
from benchmarks.machine import CPU
from benchmarks.requests import calls
from benchmarks.work import Work, counted
from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.frames.simple import Averaged
from rwae_core.model import RWAE
from training import preset

F, BF = torch.float32, torch.bfloat16


def network() -> nn.Sequential:
    """A convolution, a transposed one and a layer, without biases."""
    return nn.Sequential(
        nn.Conv2d(3, 8, 4, stride=2, padding=1, bias=False),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(4 * 16 * 16, 5, bias=False),
    )


FORWARD = 2 * (2 * 8 * 8 * 8 * 3 * 16 + 2 * 8 * 8 * 8 * 4 * 16 + 2 * 1024 * 5)
PARAMETERS = 8 * 3 * 16 + 8 * 4 * 16 + 1024 * 5
ACTIVATIONS = 2 * (3 * 16 * 16 + 8 * 8 * 8 + 8 * 8 * 8 + 1024 + 1024 + 5)
"""Into and out of each of the three, of two pictures of 16×16. Flattened maps lie where they lay, and are read, too."""


@torch.no_grad()
def test_counts_as_a_hand_does() -> None:
    model, x = network(), torch.rand(2, 3, 16, 16)
    assert counted(lambda: model(x)) == Work({F: FORWARD}, 4 * (PARAMETERS + ACTIVATIONS))


def test_counts_the_way_back() -> None:
    """Twice the way there, but for the gradient of the pictures, which nobody asked for."""
    model, x = network(), torch.rand(2, 3, 16, 16)
    assert counted(lambda: model(x).sum().backward()).flops == {F: 3 * FORWARD - 2 * 2 * 8 * 8 * 8 * 3 * 16}


@torch.no_grad()
def test_counts_what_is_read_twice_once_and_precisions_apart() -> None:
    a, b = torch.rand(4, 8), torch.rand(8, 2).bfloat16()
    twice = counted(lambda: (a @ a.T, a @ a.T))
    assert twice.flops == {F: 2 * 2 * 4 * 4 * 8}
    assert twice.bytes == 4 * (4 * 8 + 2 * 4 * 4)
    assert counted(lambda: (a @ a.T, a.bfloat16() @ b)).flops == {F: 2 * 4 * 4 * 8, BF: 2 * 4 * 8 * 2}


@torch.no_grad()
def test_averages_are_no_work_however_they_are_computed() -> None:
    assert counted(lambda: Averaged(8)(torch.rand(2, 3, 16, 16))) == Work()


def test_counts_recurrent_networks() -> None:
    lstm = nn.LSTM(6, 5, batch_first=True, bias=False)
    with torch.no_grad():
        work = counted(lambda: lstm(torch.rand(3, 7, 6)))
    assert work.flops == {F: 2 * 3 * 7 * 4 * 5 * (6 + 5)}


def test_counts_without_computing() -> None:
    with FakeTensorMode(), torch.no_grad():
        model, x = network(), torch.rand(2, 3, 16, 16)
        assert counted(lambda: model(x)) == Work({F: FORWARD}, 4 * (PARAMETERS + ACTIVATIONS))


def test_work_adds_up() -> None:
    assert Work({F: 1}, 2) + Work({F: 3, BF: 5}, 7) == Work({F: 4, BF: 5}, 9)


def test_a_floor_is_the_slower_of_computing_and_moving() -> None:
    found = Ceilings({F: 10.0, BF: 40.0}, {F: 20.0, BF: 30.0}, 100.0)
    assert found.floor_s(Work({F: 40, BF: 40}, 100)) == 2 + 1
    assert found.floor_s(Work({F: 40, BF: 40}, 400)) == 4


def test_ceilings_are_measured_once(monkeypatch) -> None:
    monkeypatch.setattr(ceilings, "SIDE", {"cpu": 64})
    monkeypatch.setattr(ceilings, "COPIED", {"cpu": 1 << 16})
    monkeypatch.setattr("benchmarks.clock.FOR_S", 0.0)
    ceilings._measured.cache_clear()
    found = ceilings.ceilings(CPU)
    assert found is ceilings.ceilings(CPU)
    assert all(rate > 0 for rate in (*found.product.values(), *found.convolution.values(), found.copy))
    ceilings._measured.cache_clear()


def test_the_work_of_an_iteration_is_that_of_its_phases() -> None:
    """Five updates of encoders and one of the decoder: an inner step less is so much less work."""
    chosen = preset.load("cpu/sprites-gan-s")
    steps = [
        presets.work(chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update={"inner_steps": inner})}))
        for inner in (1, 2, 3)
    ]
    first, second, third = (sum(work.flops.values()) for work in steps)
    assert third - second == second - first > 0


def test_paper_wide_presets_are_counted_and_not_timed(monkeypatch) -> None:
    slow = Ceilings(dict.fromkeys((F, BF), 1e9), dict.fromkeys((F, BF), 1e9), 1e9)
    monkeypatch.setattr(presets, "ceilings", lambda device: slow)
    row = presets.measured(preset.load("sprites-mmd-s"), CPU)
    assert row.keys() == {"GFLOP", "MB", "floor, s"}
    assert row["floor, s"] > 1000


def test_speech_is_counted_and_then_trained(monkeypatch) -> None:
    """Bands that are kept from one use to the next are not those of a count."""
    monkeypatch.setattr("benchmarks.clock.FOR_S", 0.0)
    chosen = preset.load("folder-speech")
    smaller = chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update={"batch": 8})})
    fast = Ceilings(dict.fromkeys((F, BF), 1e15), dict.fromkeys((F, BF), 1e15), 1e15)
    monkeypatch.setattr(presets, "ceilings", lambda device: fast)
    row = presets.measured(smaller, CPU)
    assert row["× floor"] == row["s"] / row["floor, s"] > 1


@torch.no_grad()
def test_a_swap_is_at_most_two_encodings_and_a_decoding() -> None:
    networks = SimpleFrames(encoder_widths=(8, 8, 8, 8), decoder_widths=(8, 8, 8, 8))
    asked = calls(RWAE(ModelConfig(frame_networks=networks)))
    flops = {name: counted(call).flops[F] for name, call in asked.items()}
    assert 0 < flops["/decode"] < flops["/encode"] < flops["/swap"] <= 2 * flops["/encode"] - flops["/decode"]
    assert flops["/generate, T = 100"] > 100 / 8 * flops["/decode"]
