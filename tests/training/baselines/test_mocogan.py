"""MoCoGAN generates clips of any length, a seed decides, and each phase of its training moves its own part."""

import math
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from rwae_core.errors import ShapeError, UnsupportedError
from rwae_core.latents import Latents
from training import adversarial, methods, preset, train
from training.adversarial import Adversarial
from training.baselines.mocogan import MoCoGAN, MoCoGANConfig
from training.checkpoint import load, load_model
from training.datasets.batch import Batch
from training.datasets.moving_shapes import MovingShapes
from training.preset import Preset
from training.sequence_model import SequenceModel

SMALL = {"method": "mocogan", "frames": 3, "content_dim": 6, "motion_dim": 3, "widths": [8, 8, 4, 4]}
VARIANTS = {
    "actions": SMALL | {"actions": 4},
    "none": SMALL,
    "one-channel-128": SMALL | {"actions": 2, "channels": 1, "size": 128, "widths": [8, 8, 4, 4, 4]},
}
SCHEDULE = {
    "iterations": 2,
    "batch": 2,
    "inner_steps": 1,
    "decoder_rate": 2e-4,
    "encoder_rate": 2e-4,
    "critic_rate": 2e-4,
    "decay": "cosine",
    "betas": (0.5, 0.999),
}


def chosen(variant: str, **schedule: object) -> Preset:
    fields = {"name": "small", "dataset": "moving-shapes", "about": "MoCoGAN, small", "objective": {}}
    return Preset.model_validate(fields | {"model": VARIANTS[variant], "schedule": SCHEDULE | schedule})


def built(variant: str) -> MoCoGAN:
    model = methods.build(chosen(variant).model)
    assert isinstance(model, MoCoGAN)
    return model


def fitted(variant: str) -> MoCoGAN:
    """In evaluation mode, with running statistics of its own samples."""
    torch.manual_seed(0)
    model = built(variant)
    for _ in range(20):
        model.generate(8, 3, torch.Generator().manual_seed(1))
    return model.eval().requires_grad_(False)


@pytest.fixture(params=VARIANTS, scope="module")
def model(request: pytest.FixtureRequest) -> MoCoGAN:
    return fitted(request.param)


@pytest.fixture(params=VARIANTS)
def algorithm(request: pytest.FixtureRequest) -> Adversarial:
    torch.manual_seed(0)
    preset = chosen(request.param)
    found = methods.algorithm(preset, MovingShapes(None, "train", frames=3))
    assert isinstance(found, Adversarial)
    return found


def batch(algorithm: Adversarial, n: int = 4, steps: int = 3) -> Batch:
    shape = (n, steps, *algorithm.model.config.frame_shape)
    return Batch(torch.arange(n), torch.rand(shape, generator=torch.Generator().manual_seed(2)), {})


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_any_length_comes_with_values_in_0_to_1(model: MoCoGAN) -> None:
    assert isinstance(model, SequenceModel)
    for steps in (1, 2, 7, 30):
        clip = model.generate(2, steps, torch.Generator().manual_seed(0))
        assert clip.shape == (2, steps, *model.config.frame_shape)
        assert 0 <= clip.min() < clip.max() <= 1


def test_a_seed_decides_and_another_decides_otherwise(model: MoCoGAN) -> None:
    first, again, other = (model.generate(2, 5, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_clip_does_not_depend_on_its_neighbours(model: MoCoGAN) -> None:
    together, alone = model.sample(3, 5, seeded(1, 2, 3)), model.sample(1, 5, seeded(2))
    torch.testing.assert_close(together.z_c[1:2], alone.z_c)
    torch.testing.assert_close(together.z_m[1:2], alone.z_m)
    if alone.action is not None:
        assert together.action is not None
        assert torch.equal(together.action[1:2], alone.action)
    torch.testing.assert_close(model.decode(together)[1:2], model.decode(alone))


def test_single_frames_are_those_of_the_whole_clip(model: MoCoGAN) -> None:
    codes = model.sample(2, 5, torch.Generator().manual_seed(0))
    steps = torch.tensor([[4, 0], [2, 2]])
    torch.testing.assert_close(
        model.decode(codes, steps), torch.stack([model.decode(codes)[i, steps[i]] for i in (0, 1)])
    )


def test_each_code_reaches_the_picture(model: MoCoGAN) -> None:
    a, b = (model.sample(1, 4, torch.Generator().manual_seed(seed)) for seed in (3, 4))
    own = model.decode(a)
    assert (model.decode(Latents(b.z_c, a.z_m, a.action)) - own).abs().max() > 1e-4
    assert (model.decode(Latents(a.z_c, b.z_m, a.action)) - own).abs().max() > 1e-4
    if a.action is not None:
        assert (model.decode(Latents(a.z_c, a.z_m, a.action.roll(1, 1))) - own).abs().max() > 1e-4


def test_given_codes_are_kept_and_do_not_change_the_others(model: MoCoGAN) -> None:
    free = model.sample(2, 6, seeded(1, 2))
    kept = model.sample(2, 6, seeded(1, 2), z_c=torch.ones(2, 6))
    assert torch.equal(kept.z_c, torch.ones(2, 6))
    assert torch.equal(kept.z_m, free.z_m)
    continued = model.sample(2, 6, seeded(1, 2), z_m=free.z_m[:, :3])
    torch.testing.assert_close(continued.z_m, free.z_m)
    assert torch.equal(model.sample(2, 2, z_m=free.z_m).z_m, free.z_m[:, :2])
    if free.action is not None:
        other = free.action.roll(1, 1)
        kept = model.sample(2, 6, seeded(1, 2), action=other)
        assert kept.action is not None
        assert torch.equal(kept.action, other)
        assert torch.equal(kept.z_m, free.z_m)


def test_temperature_0_leaves_only_the_action_to_chance(model: MoCoGAN) -> None:
    cold = model.sample(3, 4, torch.Generator().manual_seed(0), temperature=0.0)
    assert torch.equal(cold.z_c, torch.zeros(3, 6))
    torch.testing.assert_close(cold.z_m[0], cold.z_m[1])
    assert cold.action is None or bool((cold.action.sum(1) == 1).all())


def test_actions_are_drawn_alike() -> None:
    action = fitted("actions").sample(4000, 1, torch.Generator().manual_seed(0)).action
    assert action is not None
    assert action.mean(0).sub(0.25).abs().max() < 0.03


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_it_cannot_do_is_refused_in_words(model: MoCoGAN) -> None:
    clip = torch.zeros(1, 3, *model.config.frame_shape)
    with pytest.raises(UnsupportedError, match="it can sample, decode and generate"):
        model.encode(clip)
    with pytest.raises(UnsupportedError, match="it can sample, decode and generate"):
        model.swap(clip, clip)
    with pytest.raises(ShapeError, match="this model has"):
        model.decode(Latents(torch.zeros(1, 5), torch.zeros(1, 4, 3)))
    action = torch.zeros(1, model.config.actions) if model.config.actions else None
    with pytest.raises(ShapeError, match="no step"):
        model.decode(Latents(torch.zeros(1, 6), torch.zeros(1, 0, 3), action))
    with pytest.raises(ShapeError, match="at least 1"):
        model.sample(1, 0)
    with pytest.raises(ShapeError, match="z_m has 2 rows"):
        model.sample(1, 4, z_m=torch.zeros(2, 4, 3))


def test_widths_that_do_not_fit_the_size_are_named() -> None:
    with pytest.raises(ValidationError, match="3 widths, each before a doubling, make 32"):
        MoCoGANConfig(widths=(8, 8, 8))


def test_a_saved_state_is_the_same_model(model: MoCoGAN) -> None:
    again = MoCoGAN(model.config)
    again.load_state_dict(model.state_dict())
    drawn = [found.eval().generate(2, 3, torch.Generator().manual_seed(0)) for found in (model, again)]
    assert torch.equal(drawn[0], drawn[1])


def without_gradient(modules: list[nn.Module]) -> set[int]:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    return {id(p) for p in parameters if p.grad is None or not p.grad.any()}


def test_each_phase_reaches_all_of_its_part_and_nothing_else(algorithm: Adversarial) -> None:
    """Without the loop's freezing, and at any length, so that no gradient leaks even then."""
    parts = algorithm.parts()
    assert {id(p) for p in algorithm.parameters()} == {
        id(p) for ms in parts.values() for m in ms for p in m.parameters()
    }
    assert algorithm.phases == (frozenset({"critic"}), frozenset({"decoder"}))
    for steps in (1, 3, 9):
        for phase in algorithm.phases:
            algorithm.zero_grad()
            terms = algorithm.terms(phase, batch(algorithm, steps=steps), torch.Generator().manual_seed(0), 0.0)
            sum(terms.values(), torch.zeros(())).backward()
            for name, modules in parts.items():
                every = {id(p) for module in modules for p in module.parameters()}
                assert without_gradient(modules) == (set() if name in phase else every), (name, steps)


def test_terms_are_named_and_start_near_chance(algorithm: Adversarial) -> None:
    critic, generator = (
        {name: value.item() for name, value in algorithm.terms(phase, batch(algorithm), seeded(0)[0], 0.0).items()}
        for phase in algorithm.phases
    )
    assert critic.pop("image_critic") == pytest.approx(2 * math.log(2), abs=0.7)
    assert critic.pop("video_critic") == pytest.approx(2 * math.log(2), abs=0.7)
    assert generator.pop("image_gan") == pytest.approx(math.log(2), abs=0.5)
    assert generator.pop("video_gan") == pytest.approx(math.log(2), abs=0.5)
    if (actions := algorithm.model.config.actions) > 0:
        assert critic.pop("action_critic") == pytest.approx(math.log(actions), abs=0.7)
        assert generator.pop("action_information") == pytest.approx(math.log(actions), abs=0.7)
    assert critic == generator == {}


def test_a_generator_decides_the_terms(algorithm: Adversarial) -> None:
    for phase in algorithm.phases:
        first, again, other = (algorithm.terms(phase, batch(algorithm), seeded(seed)[0], 0.0) for seed in (1, 1, 2))
        assert all(torch.equal(first[name], again[name]) for name in first)
        assert all(not torch.equal(first[name], other[name]) for name in first)


def test_discriminators_tell_single_frames_and_whole_clips() -> None:
    """The image discriminator's logits of a frame do not know the others; the video discriminator's do."""
    config = MoCoGANConfig.model_validate(VARIANTS["actions"])
    torch.manual_seed(0)
    image = adversarial.PatchDiscriminator(config, span=1, actions=0)
    video = adversarial.PatchDiscriminator(config, span=3, actions=4)
    clip = torch.rand(2, 8, 3, 64, 64)
    verdict = video(clip, torch.Generator())
    assert verdict.real.shape == (2, 8, 4, 4)
    assert verdict.action.shape == (2, 4)
    assert image(clip[:, :1], torch.Generator()).real.shape == (2, 1, 4, 4)
    assert image(clip, torch.Generator()).action.shape == (2, 0)

    def seen(discriminator: adversarial.PatchDiscriminator) -> list[bool]:
        """Which frames the logits of frame 2 depend on."""
        # Normalisation over the batch would let every logit see every frame.
        for layer in discriminator.layers:
            assert isinstance(layer, nn.Sequential)
            layer[1] = nn.Identity()
        frames = clip.clone().requires_grad_()
        discriminator(frames, torch.Generator().manual_seed(0)).real[:, 2].sum().backward()
        assert frames.grad is not None
        return frames.grad.abs().sum((0, 2, 3, 4)).gt(0).tolist()

    assert seen(image) == [frame == 2 for frame in range(8)]
    assert seen(video) == [frame <= 6 for frame in range(8)]


def test_information_on_the_action_is_the_value_computed_by_hand() -> None:
    logits = torch.tensor([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0]]).log()
    found = adversarial.action_information(logits, torch.eye(3)[[0, 2]])
    assert found.item() == pytest.approx(-(math.log(1 / 2) + math.log(3 / 4)) / 2, rel=1e-6)


def test_two_steps_of_the_loop_and_the_run_is_a_model(tmp_path: Path) -> None:
    splits = [MovingShapes(None, split, frames=3) for split in ("train", "validation")]
    train.train(chosen("actions"), *splits, tmp_path, device=torch.device("cpu"), seed=0)
    state = load(tmp_path)
    assert state is not None
    assert state["iteration"] == 2
    model = load_model(tmp_path)
    assert isinstance(model, MoCoGAN)
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, state["algorithm"][f"model.{name}"])  # without averaging
    assert model.generate(1, 4).shape == (1, 4, 3, 64, 64)


def test_inner_steps_are_updates_of_the_discriminators() -> None:
    found = methods.algorithm(chosen("none", inner_steps=3), MovingShapes(None, "train", frames=3))
    assert [sorted(phase) for phase in found.phases] == [["critic"]] * 3 + [["decoder"]]


@pytest.mark.parametrize("name", ["human-actions-mocogan", "mug-mocogan"])
def test_presets_have_the_papers_networks(name: str) -> None:
    loaded = preset.load(name)
    with torch.device("meta"):
        found = methods.algorithm(loaded, MovingShapes(None, "train"))
    assert isinstance(found, Adversarial)
    assert loaded.model.frames == (8 if name.startswith("mug") else 16)
    shapes = [tuple(weight.shape[:2]) for weight in found.model.parameters() if weight.ndim == 4]
    assert shapes == [(512, 256), (256, 128), (128, 64), (64, 3)]
    actions = found.model.config.actions
    shapes = [tuple(weight.shape[:2]) for weight in found.video_discriminator.parameters() if weight.ndim == 5]
    assert shapes == [(64, 3), (128, 64), (256, 128), (1 + actions, 256)]
