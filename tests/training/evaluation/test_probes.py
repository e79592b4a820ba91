"""Probes find what a code holds, and nothing where there is nothing."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from rwae_core.latents import Latents
from training.evaluation import probes


def constructed(n: int, steps: int, seed: int) -> tuple[Latents, dict[str, Tensor]]:
    """z^c is who (and noise), z^m at a step is what is done (and noise)."""
    generator = torch.Generator().manual_seed(seed)
    labels = {"who": torch.randint(4, (n,), generator=generator), "what": torch.randint(3, (n,), generator=generator)}
    z_c = torch.cat([one_hot(labels["who"], 4).float(), torch.randn(n, 2, generator=generator)], 1)
    z_m = torch.randn(n, steps, 4, generator=generator)
    z_m[:, -1, :3] = 9 * one_hot(labels["what"], 3).float()
    return Latents(z_c, z_m), labels | {"always": torch.full((n,), 7)}


@pytest.mark.parametrize("held_steps", [5, 8])
def test_a_code_that_is_the_label_is_read_and_noise_is_not(held_steps: int) -> None:
    found = probes.accuracies(*constructed(1000, 5, 0), *constructed(1500, held_steps, 1), seed=0)
    assert set(found) == {"z_c who", "z_c what", "z_m who", "z_m what"}, "a factor of one value tells nothing"
    assert found["z_c who"] == 100
    assert found["z_m what"] > (99 if held_steps == 5 else 60)
    assert found["z_c what"] == pytest.approx(100 / 3, abs=5)
    assert found["z_m who"] == pytest.approx(25, abs=5)


def test_a_code_that_has_collapsed_says_nothing() -> None:
    known, labels = constructed(400, 3, 0)
    collapsed = Latents(torch.ones_like(known.z_c), torch.zeros_like(known.z_m))
    found = probes.accuracies(collapsed, labels, collapsed, labels)
    most_frequent = 100 * labels["who"].bincount().max().item() / 400
    assert found["z_c who"] == found["z_m who"] == pytest.approx(most_frequent)


def test_only_so_many_rows_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "ROWS", 20)
    known, held = constructed(400, 3, 0), constructed(400, 3, 1)
    few = probes.accuracies(*known, *held, seed=0)
    assert few == probes.accuracies(*known, *held, seed=0)
    assert few != probes.accuracies(*known, *held, seed=1)
