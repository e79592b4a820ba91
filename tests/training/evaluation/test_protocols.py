"""Models that know what is right are found right, and those that cannot be are found at chance."""

import math

import pytest
import torch

from training.evaluation import actions
from training.evaluation.findings import Evaluation
from training.evaluation.judge import Recipe
from training.evaluation.protocols import accuracies, bench, errors, swap_errors
from training.evaluation.request import Request, some

from .oracle import ACTIONS, PEOPLE, Oracle, Reader, Signs, Unseeing

pytestmark = pytest.mark.usefixtures("unchecked_shapes")
QUICK = Request("oracle", "R-WAE", quick=True, repeats=2)


def opened(model: Oracle, clips: int = 200):  # type: ignore[no-untyped-def]
    data = Signs(length=clips)
    return bench(model, Reader(), data, torch.arange(clips), request=QUICK, passes=3)  # type: ignore[arg-type]


def test_what_is_kept_is_right_and_what_is_drawn_is_at_chance() -> None:
    table, reconstruction = opened(Oracle(), 4000)
    assert reconstruction.values["squared_error"].mean == 0
    labels, generator = table.labels(), torch.Generator().manual_seed(0)
    motion = accuracies(table.kept_motion(generator), labels)
    assert motion == {"action": 100, "person": pytest.approx(100 / PEOPLE, abs=3)}
    content = errors(table.kept_content(generator), labels)
    assert content == {"action": pytest.approx(100 * (1 - 1 / ACTIONS), abs=3), "person": 0}


def test_a_swap_has_the_content_of_one_clip_and_the_motion_of_the_other() -> None:
    generator = torch.Generator().manual_seed(0)
    assert swap_errors(opened(Oracle())[0], generator, motion=("action",)) == {"action": 0, "person": 0}
    # What should come from the other clip is judged against it: against its own, most of it is wrong.
    wrong = swap_errors(opened(Oracle())[0], generator, motion=())
    assert wrong == {"action": pytest.approx(75, abs=12), "person": 0}


def test_a_model_that_does_not_listen_is_at_chance() -> None:
    wrong = swap_errors(opened(Oracle(deaf=True), 4000)[0], torch.Generator().manual_seed(0), motion=("action",))
    assert wrong == {"action": 0, "person": pytest.approx(100 * (1 - 1 / PEOPLE), abs=3)}


def test_partners_may_have_to_differ() -> None:
    table, _ = opened(Oracle(), 400)
    people = table.labels()["person"]
    for seed in range(3):
        _, partners = table.swap(torch.Generator().manual_seed(seed), apart="person")
        assert (people[partners] != people).all()
        assert len(partners.unique()) > 200
    wrong = swap_errors(table, torch.Generator().manual_seed(0), motion=("action",), apart="person")
    assert wrong == {"action": 0, "person": 0}


@pytest.fixture
def table_3(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Table 3 of a model on signs, judged by one who reads them."""
    monkeypatch.setattr(actions, "load_judge", lambda *_: (Reader(), {"action": 100.0}))

    def judge(model: object) -> Evaluation:
        return actions.evaluate(
            model,  # type: ignore[arg-type]
            name="human-actions",
            recipe=Recipe({"action": ACTIONS}, 95.0, 1, 1),
            training=Signs(length=400),
            test=Signs(),
            request=Request("oracle", "R-WAE", repeats=2, quick=True, table=3),
        )

    return judge


@pytest.mark.parametrize(
    "model",
    [Oracle(), Oracle(actions=True), Oracle(actions=True, turn=1), Unseeing(turn=3)],
    ids=["no action", "the data's actions", "actions by other names", "no encoder"],
)
def test_generated_clips_show_the_action_that_was_drawn_whatever_it_is_called(table_3, model) -> None:  # type: ignore[no-untyped-def]
    found = table_3(model)
    (section,) = found.sections
    assert section.table == 3
    figures = {name: value.mean for name, value in section.values.items()}
    assert figures["accuracy"] == 100
    assert figures["entropy_given_clip"] == pytest.approx(0, abs=1e-9)
    assert figures["entropy"] == pytest.approx(math.log(ACTIONS), abs=0.03)
    assert figures["inception_score"] == pytest.approx(ACTIONS, abs=0.1)
    assert figures["fid"] < 0.01
    assert found.repeats == 2
    assert section.values["accuracy"].std == 0


def test_a_model_that_mixes_actions_up_is_at_chance(table_3) -> None:  # type: ignore[no-untyped-def]
    class Mixed(Oracle):
        def decode(self, latents, steps=None):  # type: ignore[no-untyped-def]
            return super().decode(Oracle.sample(self, len(latents.z_c), latents.z_m.shape[1], self.noise))

    (section,) = table_3(Mixed(actions=True)).sections
    assert section.values["accuracy"].mean == pytest.approx(100 / ACTIONS, abs=8)


def test_a_model_with_neither_encoder_nor_action_says_so(table_3) -> None:  # type: ignore[no-untyped-def]
    model = Unseeing(turn=0)
    model.oracle.actions = False
    with pytest.raises(ValueError, match="neither encoder nor action"):
        table_3(model)


def test_some_clips_are_the_same_ones_every_time_and_of_all_classes() -> None:
    assert some(9, 20).equal(torch.arange(9))
    found = some(2664, 300)
    assert found.equal(some(2664, 300))
    assert len(found.unique()) == 300
    assert (found.diff() > 0).all()
    assert (found % 9).bincount().min() > 20
