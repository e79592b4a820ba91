"""A judge is made once, is the same ever after, judges only what it knows, and reads disturbed clips."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from training.datasets import Dataset
from training.datasets.catalogue import Name, open_dataset
from training.datasets.moving_shapes import MovingShapes
from training.evaluation import actions, judge, moving_shapes, sm_mnist, sprites
from training.evaluation.judge import Judge, Recipe, accuracy, load_judge, train_judge, warped

DATA = Path(os.environ.get("RWAE_DATA", "../shared/data"))
EASY = Recipe({"colour": 5}, required=0.0, steps=2, batch=2, widths=(4, 4, 4, 4))


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(judge, "CACHE", tmp_path)
    monkeypatch.setattr(judge, "FRAMES_TESTED", 200)
    return tmp_path


def shapes(split: str) -> MovingShapes:
    return MovingShapes(None, split, frames=4)


def test_a_judge_is_trained_once_and_then_read(cache: Path) -> None:
    first, right = load_judge("shapes", EASY, shapes("train"), {"": shapes("test")})
    (file,) = cache.iterdir()
    written = file.stat().st_mtime_ns
    again, same = load_judge("shapes", EASY, shapes("train"), {"": shapes("test")})
    assert file.stat().st_mtime_ns == written
    assert same == right
    assert not again.training
    clip = shapes("test").clips(torch.arange(3))
    assert again(clip)["colour"].equal(first(clip)["colour"])


def test_another_recipe_or_other_data_is_another_judge(cache: Path) -> None:
    load_judge("shapes", EASY, shapes("train"), {"": shapes("test")})
    load_judge("shapes", replace(EASY, steps=3), shapes("train"), {"": shapes("test")})
    load_judge("shapes", EASY, shapes("validation"), {"": shapes("test")})
    load_judge("shapes", EASY, shapes("train"), {"": MovingShapes(None, "test", frames=5)})
    assert len(list(cache.iterdir())) == 4


def test_training_a_judge_leaves_other_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    one = train_judge(EASY, shapes("train"))
    assert torch.rand(2).equal(expected)
    torch.manual_seed(4)
    other = train_judge(EASY, shapes("train"))
    for name, value in one.state_dict().items():
        assert other.state_dict()[name].equal(value)


def test_a_judge_that_is_wrong_too_often_may_not_judge() -> None:
    with pytest.raises(ValueError, match=r"judge of shapes may not judge.*colour \d+\.\d\d %, and 99 are required"):
        load_judge("shapes", replace(EASY, required=99.0), shapes("train"), {"": shapes("test")})


def test_a_judge_learns_what_can_be_learned() -> None:
    """The colour of a shape is easy: from chance (20%) to most of the time in 60 updates of a small encoder."""
    found = train_judge(replace(EASY, steps=60, batch=16, rate=5e-3), shapes("train"))
    assert accuracy(found, shapes("test"))["colour"] > 50


def test_accuracy_is_the_share_of_right_verdicts() -> None:
    data = shapes("test")
    found = Judge(EASY).eval()
    with torch.no_grad():
        found.heads["colour"].weight.zero_()
        found.heads["colour"].bias.copy_(torch.arange(5.0))  # always the last
        judged = judge.some(len(data), judge.FRAMES_TESTED // 4)
        expected = 100 * (data.labels(judged)["colour"] == 4).float().mean().item()
        assert accuracy(found, data) == {"colour": pytest.approx(expected)}


def test_a_joint_class_has_the_product_of_its_factors_probabilities() -> None:
    recipe = Recipe({"shape": 3, "size": 2, "colour": 5}, 0.0, 1, 1, joint={"static": ("shape", "size", "colour")})
    data = shapes("test")
    with torch.no_grad():
        found = {name: logits.softmax(1) for name, logits in Judge(recipe).eval()(data.clips(torch.arange(6))).items()}
    expected = torch.einsum("na,nb,nc->nabc", found["shape"], found["size"], found["colour"]).flatten(1)
    torch.testing.assert_close(found["static"], expected)
    labels = data.labels(torch.arange(30))
    assert labels["static"].equal(labels["shape"] * 10 + labels["size"] * 5 + labels["colour"])


def test_differences_are_of_consecutive_frames_and_frame_features_know_none() -> None:
    seeing = Judge(replace(EASY, differences=True)).eval()
    clip = shapes("test").clips(torch.arange(2))
    with torch.no_grad():
        still = clip[:, :1].expand(-1, 4, -1, -1, -1)
        assert not seeing(clip)["colour"].allclose(seeing(clip.flip(1))["colour"])
        alone = torch.cat([seeing.frame_features(frame[None]) for frame in clip.flatten(0, 1)[:, None]])
        torch.testing.assert_close(seeing.frame_features(clip), alone)
        assert seeing.frame_features(still).unflatten(0, (2, 4)).std(1).max() < 1e-5


def test_a_judge_of_crops_knows_a_colour_that_it_saw_in_the_middle_at_the_edge_and_backwards() -> None:
    judge = train_judge(replace(EASY, steps=100, batch=16, rate=5e-3, widths=(8, 16, 16, 16), crop=56), shapes("train"))
    data = shapes("test")
    chosen = torch.arange(40)
    clip = data.clips(chosen)
    found = judge(clip)["colour"]
    assert (found.argmax(1) == data.labels(chosen)["colour"]).double().mean() > 0.9
    torch.testing.assert_close(judge(clip.flip(1))["colour"], found)
    assert judge(clip[..., :32, :32])["colour"].shape == found.shape


def test_warping_moves_all_frames_of_a_clip_alike_and_stays_in_range() -> None:
    torch.manual_seed(0)
    clip = shapes("test").clips(torch.arange(8))[:, :1].expand(-1, 4, -1, -1, -1)
    found = warped(clip)
    assert found.shape == clip.shape
    assert found.min() >= 0
    assert found.max() <= 1
    torch.testing.assert_close(found, found[:, :1].expand_as(found))
    assert all((found[i] - clip[i]).abs().max() > 0.1 for i in range(8))
    assert not found[0].allclose(found[5])


JUDGES: list[tuple[Name, Recipe, int, tuple[int, ...]]] = [
    ("sprites", sprites.RECIPE, 8, (8,)),
    ("sm-mnist", sm_mnist.RECIPE, sm_mnist.TRAINED_ON, (sm_mnist.SHORT, sm_mnist.LONG)),
    ("moving-shapes", moving_shapes.RECIPE, 16, (16,)),
    ("human-actions", actions.HUMAN_ACTIONS, actions.FRAMES, (actions.FRAMES,)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "recipe", "trained_on", "judged"), JUDGES, ids=[name for name, *_ in JUDGES])
def test_judges_are_right_on_real_test_clips_disturbed_or_not(
    name: Name, recipe: Recipe, trained_on: int, judged: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is trained in up to 10 minutes on 2 cores where the cache does not have it."""
    monkeypatch.undo()
    folder = DATA / {"sprites": "sprites", "sm-mnist": "mnist", "human-actions": "human_actions"}.get(name, "")
    if not folder.is_dir():
        pytest.skip(f"no {name} in {folder}; set RWAE_DATA to the folder that holds it")
    training = open_dataset(name, folder, "train", "cpu", frames=trained_on)
    tests: dict[str, Dataset] = {
        f" at T = {frames}": open_dataset(name, folder, "test", "cpu", frames=frames) for frames in judged
    }
    found, right = load_judge(name, recipe, training, tests)
    print(name, right)
    assert min(right.values()) >= recipe.required

    data = tests[f" at T = {judged[0]}"]
    chosen = judge.some(len(data), 100)
    labels, generator = data.labels(chosen), torch.Generator().manual_seed(0)
    clips = data.clips(chosen)
    disturbed = {
        "noise": clips + 0.03 * torch.randn(clips.shape, generator=generator),
        "shifted by a pixel": clips.roll((1, 1), (3, 4)),
    }
    with torch.no_grad():
        for what, seen in disturbed.items():
            verdicts = [found.verdict(batch) for batch in seen.split(50)]
            for factor in recipe.classes:
                verdict = torch.cat([each[factor] for each in verdicts])
                assert (verdict == labels[factor]).float().mean() >= 0.95, (what, factor)
