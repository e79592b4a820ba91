"""Where digits are: centres of mass of real clips, and of a model whose weights say where it puts what."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.placed import PlacedDecoder
from tests.training.datasets.test_sm_mnist import drawn_mnist
from training.datasets.sm_mnist import SMMNIST
from training.evaluation.judge import Judge
from training.evaluation.protocols import Bench
from training.evaluation.request import Request
from training.evaluation.sm_mnist import RECIPE, _distance, _identity, centres

__all__ = ["drawn_mnist"]


@pytest.fixture(scope="module")
def data(drawn_mnist: Path) -> SMMNIST:
    return SMMNIST(drawn_mnist, "test", frames=10)


@pytest.fixture(scope="module")
def squares() -> RWAE:
    """A model that puts a white square, 32 pixels wide, where z^m says: place(z^m) = z^m."""
    torch.manual_seed(0)
    widths = {"encoder_widths": (4, 4, 4), "decoder_widths": (4, 4, 4, 4)}
    networks = SimpleFrames.model_validate({"channels": 1, "output": "linear", **widths})
    model = RWAE(
        ModelConfig(
            content_dim=3, motion_dim=2, hidden_dim=8, patch_widths=(4, 4, 4), frame_networks=networks,
            content_posterior="glimpse", decoder="placed",
        )
    ).eval().requires_grad_(False)  # fmt: skip
    decoder = cast("PlacedDecoder", model.decoder)
    for parameter in decoder.parameters():
        parameter.zero_()
    decoder.object[-1].bias.fill_(1)
    both = torch.cat([torch.eye(2), -torch.eye(2)])  # x and −x: of a leaky ReLU, leaky(x) − leaky(−x) = 1.2 x
    decoder.place[0].weight[:4] = both
    decoder.place[2].weight[:2, :4] = both.T / 1.2
    decoder.place[2].weight[2:4, :4] = -both.T / 1.2
    decoder.place[4].weight[:, :4] = both.T / 1.2
    return model


def test_centres_of_clips_are_where_the_digits_were_put(data: SMMNIST) -> None:
    chosen = torch.arange(20)
    found = centres(data.clips(chosen))
    within = centres(torch.nn.functional.pad(data.digits[chosen].float(), (0, 36, 0, 36))[:, None, None])
    torch.testing.assert_close(found, data.positions(chosen) + within, atol=1e-3, rtol=0)
    torch.testing.assert_close(centres(torch.zeros(1, 1, 1, 64, 64)), torch.full((1, 1, 2), 32.0))


@pytest.mark.parametrize("off", [(0.0, 0.0), (3.0, -4.0)])
def test_the_distance_of_a_swap_is_how_far_it_is_from_motions_place(
    data: SMMNIST, squares: RWAE, off: tuple[float, float]
) -> None:
    chosen = torch.arange(40)
    places = (data.positions(chosen) + 14 + torch.tensor(off)) / 32 - 1
    table = Bench(squares, Judge(RECIPE).eval(), data, chosen, Latents(torch.zeros(40, 3), places))
    found = _distance(table, data, torch.Generator().manual_seed(0))
    expected = 0.0 if off == (0.0, 0.0) else 5.0
    assert found == pytest.approx(expected, abs=0.7)  # of places near an edge a square is cut by up to 2 pixels


def test_what_never_changes_keeps_its_identity(squares: RWAE) -> None:
    for parameter in squares.decoder.place.parameters():
        parameter.zero_()
    torch.manual_seed(0)
    section = _identity(squares, Judge(RECIPE).eval(), Request("squares", "R-WAE", repeats=2, quick=True))
    assert section.values["identity"].mean == 100
