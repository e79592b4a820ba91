"""What every model keeps, R-WAE and baselines alike, whatever its networks."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from rwae_core.config import ComplexFrames, ModelConfig, SimpleFrames, SpectrumFrames, TFGANFrames
from rwae_core.errors import ShapeError, UnsupportedError
from rwae_core.latents import Latents
from rwae_core.speech import SpectrumConfig
from training import methods
from training.baselines.ds_vae import DSVAEConfig
from training.baselines.fhvae import FHVAEConfig
from training.baselines.mocogan import MoCoGANConfig
from training.sequence_model import SequenceModel

DIMS = {"content_dim": 6, "motion_dim": 3, "frames": 4}
SMALL = {**DIMS, "hidden_dim": 12, "patch_widths": (4, 4, 4)}
SIMPLE = SimpleFrames(encoder_widths=(4,) * 4, decoder_widths=(4,) * 4)
SPECTRUM = SpectrumFrames(spectrum=SpectrumConfig(sample_rate=1000, hop=10, window=40), widths=(8, 8))

MODELS = {
    "r-wae": ModelConfig(**SMALL, frame_networks=SIMPLE),
    "r-wae-actions": ModelConfig(**SMALL, frame_networks=SIMPLE, actions=3),
    "r-wae-modulated": ModelConfig(**SMALL, frame_networks=SIMPLE, content_posterior="patches", decoder="modulated"),
    "r-wae-complex": ModelConfig(
        **SMALL, frame_networks=ComplexFrames(encoder_widths=(8,) * 5, decoder_widths=(8,) * 5)
    ),
    "r-wae-tfgan": ModelConfig(**SMALL, frame_networks=TFGANFrames(encoder_widths=(4,) * 5, decoder_widths=(4,) * 5)),
    "r-wae-spectrum": ModelConfig(**SMALL, fps=100, frame_networks=SPECTRUM),
    "r-wae-pooled": ModelConfig(
        **SMALL, fps=100, frame_networks=SPECTRUM, content_posterior="pooled", motion_input="standardised"
    ),
    "ds-vae-full": DSVAEConfig(**SMALL, frame_networks=SIMPLE),
    "ds-vae-full-actions": DSVAEConfig(**SMALL, frame_networks=SIMPLE, actions=3),
    "ds-vae-factorised": DSVAEConfig(**SMALL, fps=100, frame_networks=SPECTRUM, posterior="factorised"),
    "ds-vae-factorised-actions": DSVAEConfig(**SMALL, frame_networks=SIMPLE, posterior="factorised", actions=3),
    "fhvae": FHVAEConfig(**DIMS, bins=20, hidden_dim=12),
    "mocogan": MoCoGANConfig(**DIMS, widths=(4,) * 4),
    "mocogan-actions": MoCoGANConfig(**DIMS, widths=(4,) * 4, actions=3),
}
ENCODING = [name for name in MODELS if not name.startswith("mocogan")]


def build(name: str) -> methods.Model:
    torch.manual_seed(0)
    return methods.build(MODELS[name]).eval()


def clips(name: str, n: int = 3, steps: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, steps, *MODELS[name].frame_shape, generator=torch.Generator().manual_seed(seed))


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def codes_of(latents: Latents) -> list[torch.Tensor]:
    return [code for code in (latents.z_c, latents.z_m, latents.action) if code is not None]


@pytest.mark.parametrize("name", MODELS)
def test_it_has_the_verbs_or_says_which_it_has(name: str) -> None:
    model = build(name)
    assert isinstance(model, SequenceModel)
    if name not in ENCODING:
        for verb in (lambda: model.encode(clips(name)), lambda: model.swap(clips(name), clips(name))):
            with pytest.raises(UnsupportedError, match="it can sample, decode and generate"):
                verb()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("steps", [1, 4, 9])
def test_any_length_can_be_made_with_values_in_0_to_1(name: str, steps: int) -> None:
    made = build(name).generate(2, steps, torch.Generator().manual_seed(0))
    assert made.shape == (2, steps, *MODELS[name].frame_shape)
    assert 0 <= made.min() < made.max() <= 1


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_decides_and_another_decides_otherwise(name: str) -> None:
    model = build(name)
    first, again, other = (model.sample(2, 5, torch.Generator().manual_seed(seed)) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(codes_of(first), codes_of(again), strict=True))
    assert not torch.equal(first.z_c, other.z_c)
    assert not torch.equal(first.z_m, other.z_m)


@pytest.mark.parametrize("name", MODELS)
def test_a_clip_does_not_depend_on_its_neighbours(name: str) -> None:
    model = build(name)
    together, alone = model.sample(3, 5, seeded(1, 2, 3)), model.sample(1, 5, seeded(2))
    for all_rows, own in zip(codes_of(together), codes_of(alone), strict=True):
        torch.testing.assert_close(all_rows[1:2], own)
    torch.testing.assert_close(model.decode(together)[1:2], model.decode(alone))
    if name in ENCODING:
        clip, order = clips(name), [2, 0, 1]
        for there, back in zip(codes_of(model.encode(clip)), codes_of(model.encode(clip[order])), strict=True):
            torch.testing.assert_close(there[order], back)
        drawn, own = model.encode(clip, seeded(1, 2, 3)), model.encode(clip[1:2], seeded(2))
        torch.testing.assert_close(drawn.z_m[1:2], own.z_m)


@pytest.mark.parametrize("name", ENCODING)
def test_a_swap_with_itself_is_its_reconstruction(name: str) -> None:
    model, clip = build(name), clips(name)
    codes = model.encode(clip)
    assert (codes.z_c.shape, codes.z_m.shape) == ((3, 6), (3, 4, 3))
    torch.testing.assert_close(model.swap(clip, clip), model.decode(codes))


@pytest.mark.parametrize("name", ENCODING)
def test_a_swap_keeps_contents_z_c_and_all_else_of_motion(name: str) -> None:
    model, content, motion = build(name), clips(name, 2, 5), clips(name, 2, 3, seed=2)
    moved = model.encode(motion)
    expected = model.decode(Latents(model.encode(content).z_c, moved.z_m, moved.action))
    torch.testing.assert_close(model.swap(content, motion), expected)
    assert expected.shape[1] == 3


@pytest.mark.parametrize("name", [name for name in ENCODING if name != "fhvae"])
def test_a_part_of_an_encoding_is_that_of_the_whole(name: str) -> None:
    model, clip = build(name), clips(name)
    whole, motion = model.encode(clip), model.encode_motion(clip)
    torch.testing.assert_close(model.encode_content(clip), whole.z_c)
    torch.testing.assert_close(motion.z_m, whole.z_m)
    if whole.action is not None:
        torch.testing.assert_close(motion.action, whole.action)
    for encode in (model.encode_content, model.encode_motion):
        with pytest.raises(ShapeError):
            encode(clip[..., 1:])


@pytest.mark.parametrize("name", MODELS)
def test_some_frames_are_those_of_the_whole(name: str) -> None:
    model = build(name)
    codes, steps = model.sample(2, 4, seeded(1, 2)), torch.tensor([[3, 0], [1, 1]])
    torch.testing.assert_close(model.decode(codes, steps), model.decode(codes)[torch.arange(2)[:, None], steps])


@pytest.mark.parametrize("name", MODELS)
def test_saved_and_loaded_it_is_the_same_model(name: str, tmp_path: Path) -> None:
    model = build(name)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    other = methods.build(MODELS[name]).eval()
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    made = [each.generate(2, 3, torch.Generator().manual_seed(0)) for each in (model, other)]
    assert torch.equal(*made)
