"""An iteration: what it descends, that nothing in it waits for the device, and that a recording is the plain path."""

import io
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.training.every_objective import Films
from tests.training.test_methods import data_for, small
from training import methods, preset
from training.datasets import Dataset
from training.datasets.batch import random_batch
from training.datasets.moving_shapes import MovingShapes
from training.datasets.sprites import Sprites
from training.datasets.utterances import Utterances
from training.iteration import AVERAGED_EVERY, Iteration, newest_share

WAITING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "equal", "lift_fresh"}
"""Operations whose result the host has to see, or that copy what the host has just made; a graph can have neither."""


class NoWaiting(TorchDispatchMode):
    """Raises where a device would be waited for. On the CPU these operations are the same, and cost nothing."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        del types
        chosen = args[1] if func.overloadpacket.__name__ in {"index", "index_put_"} else ()
        by_mask = any(place is not None and place.dtype == torch.bool for place in chosen)
        if by_mask or func.overloadpacket.__name__ in WAITING:
            raise AssertionError(f"{func} waits for the device")
        return func(*args, **(kwargs or {}))


class Held(Films):
    """A dataset whose clips are all there, as on a device; the procedural ones of the tests are made on the host."""

    def __init__(self, data: Dataset) -> None:
        self.frames, self.fps, self.frame_shape, self.device = data.frames, data.fps, data.frame_shape, data.device
        self.pixels = data.clips(torch.arange(len(data)))


def iteration(name: str, **changes: object) -> Iteration:
    chosen = small(name)
    chosen = chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update={"iterations": 8, **changes})})
    data = data_for(chosen)
    torch.manual_seed(0)
    algorithm = methods.algorithm(chosen, data)
    return Iteration(
        algorithm, chosen, data if isinstance(data, Utterances) else Held(data), torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize("name", preset.names())
def test_no_preset_waits_for_the_device(name: str) -> None:
    one = iteration(name)
    one(0)  # optimisers make their state
    with NoWaiting():
        one(1)
    assert one.means()


@pytest.mark.parametrize("held", [lambda x: x.sum().item(), lambda x: x[x > 0], lambda _: torch.tensor([1, 2])])
def test_waiting_is_seen(held: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="waits"), NoWaiting():
        held(torch.ones(3))


@pytest.mark.parametrize("source", ["sprites", "moving-shapes"])
def test_no_batch_waits_for_the_device(source: str, drawn_sprites: Path) -> None:
    data = Sprites(drawn_sprites, "train") if source == "sprites" else MovingShapes(None, "train", "cpu", frames=4)
    with NoWaiting():
        batch = random_batch(data, 4, torch.Generator().manual_seed(0))
    assert batch.clips.shape[0] == 4


def test_means_are_over_all_phases_and_iterations_since_the_last() -> None:
    one, other = iteration("sprites-mmd-s"), iteration("sprites-mmd-s")
    found = [one(0), one.means(), one(1), one.means()]
    other(0)
    other(1)
    for name, value in other.means().items():
        assert value == pytest.approx((found[1][name] + found[3][name]) / 2, rel=1e-4, abs=1e-6), name


def test_rates_weights_and_progress_are_those_of_the_schedule() -> None:
    one = iteration("sprites", decay="cosine")
    one(6)
    chosen = one.chosen
    for name, rate in one.rates.items():
        assert rate.item() == pytest.approx(getattr(chosen.schedule, f"{name}_rate") * chosen.schedule.rate_factor(6))
    assert {name: value.item() for name, value in one.weights.items()} == pytest.approx(
        chosen.objective.weights(7 / 8), rel=1e-6
    )
    assert one.progress.item() == 6 / 8


def test_a_saved_iteration_goes_on_bit_for_bit() -> None:
    one, other = iteration("sprites"), iteration("sprites")
    for number in range(2):
        one(number)
    state = one.state_dict()
    held = {name: value.clone() for name, value in state["algorithm"].items()}
    other.load_state_dict(torch.load(_saved(state), weights_only=True))
    for name, value in other.state_dict()["algorithm"].items():
        assert torch.equal(value, held[name]), name
    one(2)
    other(2)
    for kind in ("algorithm", "average"):
        for name, value in one.state_dict()[kind].items():
            assert torch.equal(other.state_dict()[kind][name], value), name
    assert other.rates["decoder"].item() > 0
    assert other.optimisers["decoder"].param_groups[0]["lr"] is other.rates["decoder"]


def _saved(state: dict[str, Any]) -> Any:

    held = io.BytesIO()
    torch.save(state, held)
    held.seek(0)
    return held


def test_the_average_of_weights_forgets_the_first_ones() -> None:
    average = torch.zeros(1)
    for number in range(AVERAGED_EVERY - 1, 60, AVERAGED_EVERY):
        average.lerp_(torch.ones(1), newest_share(0.99, number))
    assert average.item() > 0.99  # with a fixed decay it would be 0.45
    assert newest_share(0.99, 10**6) == pytest.approx(1 - 0.99**AVERAGED_EVERY)
    assert newest_share(0, 19) == newest_share(0.99, 9) == newest_share(0.99, 0) == 1


def test_the_average_moves_after_the_tenth_and_the_last() -> None:
    one = iteration("sprites", average=0, iterations=AVERAGED_EVERY + 2)
    first, number = [kept.clone() for kept in one.average.parameters()], 0

    def is_that_of(weights: Iterable[torch.Tensor]) -> bool:
        return all(torch.equal(*each) for each in zip(one.average.parameters(), weights, strict=True))

    for number in range(AVERAGED_EVERY - 1):
        one(number)
    assert is_that_of(first)
    for last in (AVERAGED_EVERY - 1, AVERAGED_EVERY + 1):
        one(last)
        assert is_that_of(one.algorithm.model.parameters())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="a graph is recorded on a GPU; run this where there is one")
@pytest.mark.parametrize("name", ["sprites", "sprites-mmd-s", "sprites-gan-s", "sprites-ds-vae-s", "mug-gan"])
def test_a_recording_is_the_plain_path(name: str) -> None:
    """Over 200 iterations the means of all terms agree within 1%, from the same draws."""
    device = torch.device("cuda")
    means = []
    for recorded in (False, True):
        chosen = small(name)
        chosen = chosen.model_copy(update={"schedule": chosen.schedule.model_copy(update={"iterations": 200})})
        data = Held(data_for(chosen))
        data.device, data.pixels = device, data.pixels.to(device)
        torch.manual_seed(0)
        algorithm = methods.algorithm(chosen, data).to(device)
        generator = torch.Generator(device).manual_seed(0)
        one = Iteration(algorithm, chosen, data, generator, recorded=recorded)
        for number in range(200):
            one(number)
        assert (one.graph is not None) == recorded
        means.append(one.means())
    for term, value in means[0].items():
        assert means[1][term] == pytest.approx(value, rel=0.01, abs=1e-3), term
