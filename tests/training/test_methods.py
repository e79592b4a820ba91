"""Every preset trains: small, on procedural data, and each phase moves its own parts and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from training import methods, preset, train
from training.algorithm import weighted_sum
from training.datasets import Dataset
from training.datasets.batch import random_batch
from training.datasets.utterances import Recording, Utterances
from training.preset import Preset

FRAMES, CLIPS = 3, 6


class Procedural:
    """A square that moves over a coloured ground, or a formant that glides: small, of any frame shape."""

    fps = 8.0
    device = torch.device("cpu")

    def __init__(self, frame_shape: tuple[int, ...], frames: int) -> None:
        self.frames, self.frame_shape = frames, frame_shape

    def __len__(self) -> int:
        return CLIPS

    def clips(self, indices: torch.Tensor) -> torch.Tensor:
        clips = torch.zeros(len(indices), self.frames, *self.frame_shape)
        for row, index in enumerate(indices.tolist()):
            for t in range(self.frames):
                start = 4 + 5 * t + index
                if len(self.frame_shape) == 1:
                    clips[row, t] = 0.1 * (index + 1) / CLIPS
                    clips[row, t, start : start + 8] = 0.8
                else:
                    clips[row, t, :, start : start + 12, 10:22] = (index + 1) / CLIPS
        return clips

    def companions(self, indices: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """Every two clips are of one recording."""
        return indices[:, None] ^ torch.randint(2, (len(indices), count), generator=generator)

    def look_alikes(self, indices: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Every other clip shows the same."""
        del generator
        return (indices + 2) % len(self)

    def labels(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        del indices
        return {}


def small(name: str) -> Preset:
    """The preset with two iterations of two clips of three frames, and narrow networks."""
    raw: dict[str, Any] = preset.load(name).model_dump()
    batch = 8 if raw["objective"]["recording_correlation"] else 2
    raw["schedule"] |= {"iterations": 2, "batch": batch, "inner_steps": min(raw["schedule"]["inner_steps"], 2)}
    raw["model"] |= {"frames": FRAMES, "hidden_dim": 24} if "hidden_dim" in raw["model"] else {"frames": FRAMES}
    if "frame_networks" in raw["model"]:
        for widths in ("encoder_widths", "decoder_widths", "widths"):
            if widths in raw["model"]["frame_networks"]:
                count = len(raw["model"]["frame_networks"][widths])
                raw["model"]["frame_networks"][widths] = (8,) * count
    if "widths" in raw["model"]:
        raw["model"]["widths"] = (8,) * len(raw["model"]["widths"])
    raw["views"] = {key: min(value, 2) for key, value in raw["views"].items()}
    return Preset.model_validate(raw)


class Tone(Recording):
    """A tone that glides, 0.3 s long: where it begins is who speaks."""

    def wave(self, sample_rate: int) -> torch.Tensor:
        time = torch.arange(int(0.3 * sample_rate)) / sample_rate
        return 0.3 * torch.sin(2 * torch.pi * (300 * (1 + int(self.speaker)) + 400 * time) * time)


def data_for(chosen: Preset) -> Dataset:
    if chosen.views.content_windows:
        return Utterances([Tone(Path(str(i)), str(i)) for i in range(CLIPS)], "cpu", FRAMES, "tones")
    return Procedural(chosen.model.frame_shape, FRAMES)


@pytest.mark.parametrize("name", preset.names())
def test_every_preset_builds_at_full_size_and_its_rates_fall(name: str) -> None:
    chosen = preset.load(name)
    with torch.device("meta"):
        methods.build(chosen.model)
    assert chosen.schedule.rate_factor(chosen.schedule.iterations - 1) <= 1


@pytest.mark.parametrize("name", preset.names())
def test_every_preset_trains_two_steps(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "WATCHED_PAIRS", 4)
    chosen = small(name)
    data = data_for(chosen)
    train.train(chosen, data, data, tmp_path, device=torch.device("cpu"), seed=0)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[0]["iteration"] == 2
    weighed = chosen.objective.weights(1.0)
    assert {f"weight_{term}" for term in weighed} <= lines[0].keys()
    assert weighed.keys() <= lines[0].keys(), "every term with a weight is computed"


@pytest.mark.parametrize("name", preset.names())
def test_a_phase_reaches_every_parameter_of_its_parts_and_no_other(name: str) -> None:
    chosen = small(name)
    data = data_for(chosen)
    torch.manual_seed(0)
    algorithm = methods.algorithm(chosen, data)
    parts = algorithm.parts()
    parameters = {
        f"{part}: {module_name}.{parameter_name}": parameter
        for part, modules in parts.items()
        for module_name, module in enumerate(modules)
        for parameter_name, parameter in module.named_parameters()
    }
    assert {id(p) for p in parameters.values()} == {id(p) for p in algorithm.parameters()}, "a part for each parameter"
    assert len({id(p) for p in parameters.values()}) == len(parameters), "and only one"
    generator = torch.Generator().manual_seed(0)
    weights = chosen.objective.weights(1.0)
    for phase in sorted(set(algorithm.phases), key=sorted):
        algorithm.zero_grad()
        algorithm.learn(phase)
        for _ in range(3):  # one draw may leave a rarely active unit out
            elsewhere = chosen.views.content_elsewhere > 0
            batch = random_batch(data, 8, generator, windows=chosen.recorded_windows, look_alikes=elsewhere)
            terms = algorithm.terms(phase, batch, generator, 0.5)
            weighted_sum(terms, weights).backward()
        reached = {label for label, p in parameters.items() if p.grad is not None and p.grad.any()}
        expected = {label for label in parameters if label.split(":")[0] in phase}
        assert reached == expected, f"{sorted(reached ^ expected)} in {sorted(phase)}"
