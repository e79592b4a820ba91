"""A recording of any length is encoded and decoded in the windows that a model was trained on."""

import pytest
import torch

from rwae_core import recording
from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.errors import ShapeError
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.moments import moments
from rwae_core.recording import decode_recording, encode_recording
from rwae_core.speech import SpectrumConfig

SPECTRUM = SpectrumFrames(spectrum=SpectrumConfig(sample_rate=1000, hop=10, window=40), widths=(8, 8))
SMALL = {"frames": 4, "fps": 100, "content_dim": 6, "motion_dim": 3, "hidden_dim": 12, "frame_networks": SPECTRUM}
MODELS = {
    "recurrent": ModelConfig(**SMALL),
    "pooled": ModelConfig(**SMALL, content_posterior="pooled", motion_input="standardised", decoder="memoryless"),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> RWAE:
    torch.manual_seed(0)
    return RWAE(MODELS[request.param]).eval()


def sound(columns: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(columns, 20, generator=torch.Generator().manual_seed(seed))


def test_content_is_the_mean_over_windows_and_motion_runs_through(model: RWAE) -> None:
    spectrum = sound(12)
    found = encode_recording(model, spectrum)
    windows = [spectrum[start : start + 4][None] for start in (0, 4, 8)]
    alone = [model.infer(window, of=moments(spectrum[None]), sample=False).latents for window in windows]
    torch.testing.assert_close(found.z_c, torch.stack([codes.z_c for codes in alone]).mean(0))
    torch.testing.assert_close(found.z_m, torch.cat([codes.z_m for codes in alone], 1))


@pytest.mark.parametrize("columns", [1, 2, 3, 4, 5, 7, 8, 11])
def test_the_last_window_is_filled_up_with_the_recording_backwards(model: RWAE, columns: int) -> None:
    spectrum = sound(columns)
    filled = torch.cat([spectrum, spectrum.flip(0), spectrum, spectrum.flip(0)])[: -(-columns // 4) * 4]
    found = encode_recording(model, spectrum)
    assert found.z_m.shape == (1, columns, 3)
    whole = model.infer(
        filled.unflatten(0, (-1, 4)), of=moments(spectrum[None]).expand(len(filled) // 4, -1, -1), sample=False
    ).latents
    torch.testing.assert_close(found.z_c[0], whole.z_c.mean(0))
    torch.testing.assert_close(found.z_m[0], whole.z_m.flatten(0, 1)[:columns])


@pytest.mark.parametrize("columns", [1, 4, 6, 9])
def test_codes_are_decoded_in_the_windows_they_were_encoded_in(model: RWAE, columns: int) -> None:
    codes = encode_recording(model, sound(columns))
    found = decode_recording(model, codes)
    assert found.shape == (columns, 20)
    for start in range(0, columns - 3, 4):
        window = Latents(codes.z_c, codes.z_m[:, start : start + 4])
        torch.testing.assert_close(found[start : start + 4], model.decode(window)[0])


def test_a_long_recording_goes_through_in_parts(model: RWAE, monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum = sound(41)
    codes = encode_recording(model, spectrum)
    frames = decode_recording(model, codes)
    monkeypatch.setattr(recording, "WINDOWS_AT_ONCE", 3)
    torch.testing.assert_close(encode_recording(model, spectrum).z_c, codes.z_c)
    torch.testing.assert_close(encode_recording(model, spectrum).z_m, codes.z_m)
    torch.testing.assert_close(decode_recording(model, codes), frames)


def test_a_generator_draws_and_a_seed_decides(model: RWAE) -> None:
    first, again, other = (encode_recording(model, sound(9), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first.z_m, again.z_m)
    assert torch.equal(first.z_c, again.z_c)
    assert not torch.equal(first.z_m, other.z_m)
    assert not torch.equal(first.z_c, encode_recording(model, sound(9)).z_c)


def test_what_is_no_recording_of_the_model_is_refused(model: RWAE) -> None:
    with pytest.raises(ShapeError):
        encode_recording(model, sound(8)[:, :19])
    with pytest.raises(ShapeError):
        encode_recording(model, sound(8)[:0])
    with pytest.raises(ShapeError):
        decode_recording(model, Latents(torch.zeros(1, 6), torch.zeros(1, 0, 3)))
