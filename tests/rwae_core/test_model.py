"""What every variant of the model keeps, whatever its networks."""

from pathlib import Path

import pytest
import torch

from rwae_core.config import ComplexFrames, ModelConfig, SimpleFrames, SpectrumFrames, TFGANFrames
from rwae_core.errors import ShapeError
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.motion import RecurrentPrior
from rwae_core.speech import SpectrumConfig

SMALL = {"content_dim": 6, "motion_dim": 3, "hidden_dim": 10, "frames": 4, "patch_widths": (4, 4, 4)}


def frames(halvings: int, **more: object) -> SimpleFrames:
    return SimpleFrames.model_validate({"encoder_widths": (4,) * halvings, "decoder_widths": (4,) * halvings, **more})


VARIANTS = {
    "paper": ModelConfig(**SMALL, frame_networks=frames(4)),
    "patches-memoryless": ModelConfig(
        **SMALL, frame_networks=frames(4), content_posterior="patches", decoder="memoryless"
    ),
    "patches-modulated": ModelConfig(
        **SMALL,
        frame_networks=frames(4, encoder_widths=(4, 4), output="linear"),
        content_posterior="patches",
        decoder="modulated",
    ),
    "glimpse-placed": ModelConfig(
        **SMALL, frame_networks=frames(4, encoder_widths=(4, 4)), content_posterior="glimpse", decoder="placed"
    ),
    "contrast": ModelConfig(
        **SMALL,
        frame_networks=frames(4),
        content_posterior="patches",
        motion_input="contrast",
        decoder="modulated",
    ),
    "prior-of-four": ModelConfig(**SMALL, frame_networks=frames(4), prior_components=4),
    "residual-prior-of-four": ModelConfig(**SMALL, frame_networks=frames(4), prior_components=4, prior_residual=True),
    "content-of-four": ModelConfig(**SMALL, frame_networks=frames(4), content_components=4, actions=3),
    "128-pixels": ModelConfig(**SMALL, frame_networks=frames(5, size=128)),
    "one-channel": ModelConfig(**SMALL, frame_networks=frames(4, channels=1)),
    "actions": ModelConfig(**SMALL, frame_networks=frames(4), actions=3),
    "told-actions": ModelConfig(**SMALL, frame_networks=frames(4), actions=3, prior_action=True),
    "actions-modulated": ModelConfig(**SMALL, frame_networks=frames(4), actions=3, decoder="modulated"),
    "complex": ModelConfig(
        **{**SMALL, "hidden_dim": 12},
        frame_networks=ComplexFrames(encoder_widths=(8,) * 5, decoder_widths=(8,) * 5),
    ),
    "tfgan": ModelConfig(
        **SMALL, frame_networks=TFGANFrames(encoder_widths=(4,) * 5, decoder_widths=(4,) * 5), decoder="memoryless"
    ),
    "spectrum": ModelConfig(
        **SMALL,
        fps=100,
        frame_networks=SpectrumFrames(spectrum=SpectrumConfig(sample_rate=1000, hop=10, window=40), widths=(8, 8)),
    ),
}


@pytest.fixture(params=VARIANTS, scope="module")
def model(request: pytest.FixtureRequest) -> RWAE:
    torch.manual_seed(0)
    return RWAE(VARIANTS[request.param]).eval()


def clips(model: RWAE, n: int = 3, steps: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, steps, *model.config.frame_shape, generator=torch.Generator().manual_seed(seed))


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_gradients_reach_every_parameter(model: RWAE) -> None:
    model.zero_grad()
    inference = model.infer(clips(model), generator=torch.Generator().manual_seed(0))
    prior = model.motion_prior(inference.latents.z_m, inference.latents.action)
    loss = model.train().decode(inference.latents).square().sum() + prior.kl_of(inference.motion).sum()
    content_prior = model.content_prior(inference.latents.z_c)
    (loss + content_prior.kl_of(inference.content).sum()).backward()
    model.eval()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("steps", [1, 4, 11])
def test_any_length_comes_back_with_values_in_0_to_1(model: RWAE, steps: int) -> None:
    clip = clips(model, 2, steps)
    codes = model.encode(clip)
    assert codes.z_c.shape == (2, 6)
    assert codes.z_m.shape == (2, steps, 3)
    back = model.decode(codes)
    assert back.shape == clip.shape
    assert 0 <= back.min() <= back.max() <= 1
    assert model.generate(2, steps).shape == clip.shape


def test_each_code_reaches_the_picture(model: RWAE) -> None:
    a, b = model.encode(clips(model, 1)), model.sample(1, 4, torch.Generator().manual_seed(3))
    own = model.decode(a)
    assert (model.decode(Latents(b.z_c, a.z_m, a.action)) - own).abs().max() > 1e-6
    assert (model.decode(Latents(a.z_c, b.z_m, a.action)) - own).abs().max() > 1e-6


def test_a_seed_decides_and_another_decides_otherwise(model: RWAE) -> None:
    first, again, other = (model.sample(2, 5, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert torch.equal(first.z_m, again.z_m)
    assert not torch.equal(first.z_m, other.z_m)
    clip = clips(model)
    drawn = [model.encode(clip, torch.Generator().manual_seed(seed)).z_m for seed in (7, 7, 8)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_a_clip_does_not_depend_on_its_neighbours(model: RWAE) -> None:
    together = model.sample(3, 5, seeded(1, 2, 3))
    alone = model.sample(1, 5, seeded(2))
    torch.testing.assert_close(together.z_c[1:2], alone.z_c)
    torch.testing.assert_close(together.z_m[1:2], alone.z_m)
    clip = clips(model)
    codes, own = model.encode(clip, seeded(1, 2, 3)), model.encode(clip[1:2], seeded(2))
    torch.testing.assert_close(codes.z_m[1:2], own.z_m)
    torch.testing.assert_close(model.decode(codes)[1:2], model.decode(own))
    order = [2, 0, 1]
    torch.testing.assert_close(model.encode(clip[order]).z_m, model.encode(clip).z_m[order])


def test_temperature_0_follows_the_means_and_fixed_codes_are_kept(model: RWAE) -> None:
    same = torch.eye(model.config.actions)[:1].expand(2, -1) if model.config.actions else None
    cold = model.sample(2, 5, torch.Generator().manual_seed(0), temperature=0.0, action=same)
    content_prior = model.content_prior(cold.z_c)
    torch.testing.assert_close(cold.z_c, content_prior.draw(0 * model.content_prior.noise(cold.z_c, None)))
    torch.testing.assert_close(cold.z_m[0], cold.z_m[1])
    prior = model.motion_prior(cold.z_m, cold.action)
    torch.testing.assert_close(cold.z_m, prior.draw(torch.zeros_like(model.prior.noise(2, 5, None, cold.z_m))))
    codes = model.encode(clips(model))
    kept = model.sample(3, 4, torch.Generator().manual_seed(0), z_c=codes.z_c)
    assert torch.equal(kept.z_c, codes.z_c)
    free = model.sample(3, 4, torch.Generator().manual_seed(0))
    assert torch.equal(kept.z_m, free.z_m)


def test_the_prior_continues_a_given_motion(model: RWAE) -> None:
    whole = model.sample(2, 6, seeded(1, 2))
    continued = model.sample(2, 6, seeded(1, 2), z_m=whole.z_m[:, :3])
    torch.testing.assert_close(continued.z_m, whole.z_m)
    assert torch.equal(model.sample(2, 2, z_m=whole.z_m).z_m, whole.z_m[:, :2])


def test_the_motion_prior_at_given_histories_is_the_roll_out(model: RWAE) -> None:
    drawn = model.sample(2, 5, seeded(1, 2))
    prior = model.motion_prior(drawn.z_m, drawn.action)
    sources = seeded(1, 2)
    for source in sources:
        normal = torch.randn(1, 6 + min(model.config.actions, 1), generator=source)  # z^c and the action come first
        model.content_prior.noise(normal[:, :6], source)
    noise = torch.cat([model.prior.noise(1, 5, source, drawn.z_m) for source in sources])
    torch.testing.assert_close(drawn.z_m, prior.draw(noise))


def test_motion_seen_along_given_codes_is_what_was_inferred_step_by_step(model: RWAE) -> None:
    clip = torch.rand(2, 5, *model.config.frame_shape, generator=torch.Generator().manual_seed(0))
    inference = model.infer(clip, generator=seeded(1, 2))
    seen = model.motion_seen(clip, inference.latents.z_m)
    torch.testing.assert_close(seen.mean, inference.motion.mean)
    torch.testing.assert_close(seen.std, inference.motion.std)


def test_a_clip_made_part_by_part_is_the_one_made_at_once(model: RWAE) -> None:
    whole = model.sample(2, 23, seeded(1, 2), z_m=model.sample(2, 7, seeded(3, 4)).z_m)
    sources = seeded(1, 2)
    z_c, action = model.sample_static(2, sources)
    rollout, memory = model.prior.begin(z_c, action), None
    parts, frames = [], []
    for start, stop in (
        (0, 5),
        (5, 6),
        (6, 22),
        (22, 23),
    ):  # 16 numbers and more come from torch another way than fewer
        noise = model.prior.noise(2, stop - start, sources, z_c)
        z_m, rollout = model.roll_out(noise, rollout, given=whole.z_m[:, start : min(stop, 7)])
        drawn, memory = model.decode_on(Latents(z_c, z_m, action), memory)
        parts.append(z_m)
        frames.append(drawn)
    torch.testing.assert_close(torch.cat(parts, 1), whole.z_m)
    torch.testing.assert_close(torch.cat(frames, 1), model.decode(whole))


@pytest.mark.parametrize("components", [1, 4])
@pytest.mark.parametrize("dim", [1, 3, 12, 16, 40])
def test_a_longer_roll_out_begins_as_a_shorter_one(dim: int, components: int) -> None:
    prior = RecurrentPrior(
        ModelConfig(**{**SMALL, "motion_dim": dim}, frame_networks=frames(4), prior_components=components)
    )
    shorter, longer = (prior.noise(2, steps, seeded(1, 2), torch.zeros(1)) for steps in (5, 50))
    assert torch.equal(shorter, longer[:, :5])
    normal = longer[..., :dim]
    assert abs(normal.mean()) < 0.3
    assert 0.7 < normal.std() < 1.3


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("shape", "word"),
    [
        ((2, 0, 3, 64, 64), "T ≥ 1"),
        ((2, 4, 3, 32, 64), "shape"),
        ((4, 3, 64, 64), "shape"),
        ((2, 4, 2, 64, 64), "shape"),
    ],
)
def test_clips_of_another_shape_are_refused_in_words(shape: tuple[int, ...], word: str) -> None:
    with pytest.raises(ShapeError, match=word):
        RWAE(VARIANTS["paper"]).encode(torch.zeros(shape))


@pytest.mark.usefixtures("unchecked_shapes")
def test_motion_sees_a_coarse_clip_as_it_sees_the_clip_itself_and_content_does_not(model: RWAE) -> None:
    clip = clips(model)
    coarse = model.coarse(clip)
    expected, found = (model.infer(each, content_clip=clip, sample=False) for each in (clip, coarse))
    torch.testing.assert_close(found.motion.mean, expected.motion.mean)
    torch.testing.assert_close(found.content.mean, expected.content.mean)
    if coarse.shape != clip.shape:
        with pytest.raises(ShapeError, match="has shape"):
            model.encode(coarse)
        with pytest.raises(ShapeError, match=" or "):
            model.infer(coarse[..., :-1], content_clip=clip)


@pytest.mark.usefixtures("unchecked_shapes")
def test_codes_of_another_shape_are_refused_in_words() -> None:
    model = RWAE(VARIANTS["paper"])
    with pytest.raises(ShapeError, match="this model has"):
        model.decode(Latents(torch.zeros(1, 5), torch.zeros(1, 4, 3)))
    with pytest.raises(ShapeError, match="no step"):
        model.decode(Latents(torch.zeros(1, 6), torch.zeros(1, 0, 3)))
    with pytest.raises(ShapeError, match="as many"):
        Latents(torch.zeros(1, 6), torch.zeros(2, 4, 3))
    with pytest.raises(ShapeError, match="at least 1"):
        model.sample(0, 4)
    with pytest.raises(ShapeError, match="z_c has 2 rows"):
        model.sample(1, 4, z_c=torch.zeros(2, 6))
    with pytest.raises(ValueError, match="one for each row"):
        model.sample(3, 4, seeded(1, 2))


@pytest.mark.parametrize(("widths", "pixels"), [((4, 4, 4), 22), ((4, 4, 4, 4), 46)])
def test_a_patch_has_as_many_pixels_as_is_said(widths: tuple[int, ...], pixels: int) -> None:
    config = {**SMALL, "patch_widths": widths}
    posterior = RWAE(ModelConfig(**config, frame_networks=frames(4), content_posterior="patches")).content_posterior
    frame = torch.rand(1, 3, 64, 64, requires_grad=True)
    patches = posterior.patches(frame)
    middle = patches.shape[-1] // 2
    patches[0, :, middle, middle].square().sum().backward()
    seen = frame.grad.abs().sum((0, 1)).nonzero()
    assert (seen.amax(0) - seen.amin(0) + 1).tolist() == [pixels, pixels]


@pytest.mark.parametrize("variant", ["patches-memoryless", "patches-modulated"])
def test_a_bag_of_patches_cannot_see_the_order_of_frames(variant: str) -> None:
    model = RWAE(VARIANTS[variant]).eval()
    clip = clips(model)
    torch.testing.assert_close(model.encode(clip.flip(1)).z_c, model.encode(clip).z_c)


@pytest.mark.parametrize("variant", ["patches-memoryless", "patches-modulated"])
def test_a_frame_without_memory_depends_on_its_own_motion_alone(variant: str) -> None:
    model = RWAE(VARIANTS[variant]).eval()
    codes = model.encode(clips(model))
    late = model.decode(Latents(codes.z_c, codes.z_m[:, 2:]))
    torch.testing.assert_close(late, model.decode(codes)[:, 2:])


@pytest.mark.parametrize("variant", ["actions", "actions-modulated"])
def test_the_action_is_inferred_from_motion_kept_by_a_swap_and_drawn_evenly(variant: str) -> None:
    torch.manual_seed(0)
    model = RWAE(VARIANTS[variant]).eval()
    a, b = clips(model, 2), clips(model, 2, seed=2)
    codes, other = model.encode(a), model.encode(b)
    assert codes.action is not None
    assert other.action is not None
    torch.testing.assert_close(codes.action.sum(1), torch.ones(2))
    torch.testing.assert_close(model.swap(b, a), model.decode(Latents(other.z_c, codes.z_m, codes.action)))

    drawn = model.sample(600, 1, torch.Generator().manual_seed(0))
    assert drawn.action is not None
    counts = drawn.action.sum(0)
    assert set(drawn.action.unique().tolist()) == {0, 1}
    assert (counts - 200).abs().max() < 5 * (600 * 2 / 9) ** 0.5
    chosen = torch.eye(3)[torch.tensor([2, 0])]
    kept = model.sample(2, 4, seeded(1, 2), action=chosen)
    free = model.sample(2, 4, seeded(1, 2))
    assert torch.equal(kept.action, chosen)
    assert torch.equal(kept.z_m, free.z_m)
    assert (model.decode(kept) - model.decode(Latents(free.z_c, free.z_m, chosen.flip(1)))).abs().max() > 1e-6


def test_the_action_is_relaxed_while_sampling_and_sharper_at_a_lower_temperature() -> None:
    torch.manual_seed(0)
    model = RWAE(VARIANTS["actions"]).eval()
    clip = clips(model, 200, 2)
    largest = []
    for temperature in (2.0, 0.2):
        generator = torch.Generator().manual_seed(0)
        drawn = model.infer(clip, generator=generator, action_temperature=temperature).latents.action
        assert drawn is not None
        largest.append(drawn.amax(1).mean().item())
    assert largest[0] < 0.75
    assert largest[1] > 0.9


def test_sizes_that_do_not_fit_are_refused_when_configured(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="power of two"):
        SimpleFrames(size=96)
    with pytest.raises(ValueError, match="need 5"):
        SimpleFrames(size=128)
    with pytest.raises(ValueError, match="6 equal parts"):
        ModelConfig(frame_networks=ComplexFrames(), hidden_dim=151)
    with pytest.raises(ValueError, match="at 100 a second"):
        ModelConfig(frame_networks=SpectrumFrames())
    with pytest.raises(ValueError, match="set frames to 2 or more"):
        ModelConfig(frames=1, frame_networks=SimpleFrames(), prior_residual=True)
    with pytest.raises(ValueError, match="looks at pixels"):
        ModelConfig(fps=100, frame_networks=SpectrumFrames(), content_posterior="patches")
    with pytest.raises(ValueError, match="set network = 'simple'"):
        ModelConfig(frame_networks=TFGANFrames(), decoder="modulated")
    with pytest.raises(ValueError, match="needs at least 16"):
        ModelConfig(
            content_posterior="glimpse",
            frame_networks=SimpleFrames(size=8, encoder_widths=(4,), decoder_widths=(4,)),
        )
    with pytest.raises(ShapeError, match="no height"):
        _ = ModelConfig(fps=100, frame_networks=SpectrumFrames()).size
