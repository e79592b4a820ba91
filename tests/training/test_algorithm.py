"""What networks are trained in, and what an update descends."""

import torch

from rwae_core.precision import has_bfloat16
from training import preset
from training.algorithm import computing, weighted_sum

CPU = torch.device("cpu")


def test_bfloat16_is_computed_in_only_where_there_are_instructions_for_it() -> None:
    wanted = preset.load("sprites")
    assert wanted.bfloat16
    with computing(CPU, wanted):
        assert torch.is_autocast_enabled("cpu") is has_bfloat16(CPU)
    with computing(CPU, wanted.model_copy(update={"bfloat16": False})):
        assert not torch.is_autocast_enabled("cpu")


def test_terms_that_a_preset_knows_and_gives_no_weight_are_not_descended() -> None:
    terms = {
        name: torch.tensor(float(value))
        for name, value in (("reconstruction", 1), ("motion_kl", 10), ("content_kl", 100))
    }
    assert weighted_sum(terms, {"motion_kl": 0.5}).item() == 6
