"""A wave's spectrum is what the formula says, and a wave comes back from it as long, as loud and as clear as it was."""

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import torch
from pydantic import ValidationError
from pystoi import stoi

from rwae_core.errors import ShapeError
from rwae_core.speech import SpectrumConfig, analyse, as_loud_as, synthesise
from rwae_core.speech.phase import estimated_phase
from rwae_core.speech.spectrum import STFT, magnitudes

CONFIG = SpectrumConfig()
LENGTHS = [1, 2, 79, 80, 81, 159, 160, 161, 399, 400, 401, 3199, 3200, 3201, 16_000, 1_920_001]
REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "librispeech_mini" / "LibriSpeech" / "test-other"


def noise(samples: int, clips: int = 1, level: float = 0.1, seed: int = 0) -> torch.Tensor:
    return level * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))


def sine(hertz: float, samples: int = 8000, amplitude: float = 1.0) -> torch.Tensor:
    return amplitude * torch.sin(2 * torch.pi * hertz / CONFIG.sample_rate * torch.arange(samples)).unsqueeze(0)


def voice(samples: int = 16_000, pitch: float = 120.0) -> torch.Tensor:
    """A gliding tone with harmonics under two formants, swelling and fading four times a second, and a little hiss."""
    time = torch.arange(samples, dtype=torch.float64) / CONFIG.sample_rate
    phase = 2 * torch.pi * pitch * (time + 0.1 * time**2)
    tones = [
        (1 / (1 + ((k * pitch - 600) / 200) ** 2) + 0.3 / (1 + ((k * pitch - 2000) / 300) ** 2)) * torch.sin(k * phase)
        for k in range(1, 30)
    ]
    swell = 0.55 - 0.45 * torch.cos(8 * torch.pi * time)
    return (0.1 * swell * torch.stack(tones).sum(0)).float().unsqueeze(0) + noise(samples, level=1e-4)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def padded(wave: torch.Tensor) -> np.ndarray:
    """The wave in float64 with silence around it, so that the first of its windows starts at the first sample."""
    columns = -(-wave.shape[1] // 160)
    return np.pad(wave[0].double().numpy(), (120, 160 * columns + 120 - wave.shape[1]))


def slow_stft(wave: torch.Tensor) -> np.ndarray:
    """Its definition, sum by sum: columns × 201."""
    samples, n = padded(wave), np.arange(400)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * n / 400)
    dft = np.exp(-2j * np.pi * np.outer(n, np.arange(201)) / 400)
    return np.stack([(samples[start : start + 400] * window) @ dft for start in range(0, len(samples) - 399, 160)])


def slow_wave(coefficients: np.ndarray, samples: int) -> np.ndarray:
    """Least squares over all windows, sample by sample."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    total, weight = np.zeros((2, 160 * len(coefficients) + 240))
    for t, column in enumerate(coefficients):
        total[160 * t : 160 * t + 400] += window * np.fft.irfft(column, 400)
        weight[160 * t : 160 * t + 400] += window**2
    return total[120 : 120 + samples] / weight[120 : 120 + samples]


def misfit(wave: torch.Tensor, spectrum: torch.Tensor) -> float:
    """Squared error of a wave's magnitudes against the wanted ones, in dB of these."""
    wanted = magnitudes(spectrum, CONFIG)
    found = magnitudes(analyse(wave, CONFIG), CONFIG)
    return 10 * ((found - wanted).square().sum() / wanted.square().sum()).log10().item()


def level_db(wave: torch.Tensor) -> float:
    return 10 * wave.square().mean().log10().item()


@pytest.mark.parametrize("samples", [1, 161, 1234])
def test_a_spectrum_equals_a_slow_dft_in_float64(samples: int) -> None:
    wave = noise(samples)
    expected = 1 + 20 * np.log10(np.abs(slow_stft(wave)[:, 1:]) / 200) / 100
    found = analyse(wave, CONFIG)[0].numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected.clip(0, 1), atol=2e-4)  # 0.02 dB, 100 dB below full scale
    np.testing.assert_allclose(found[expected > 0.5], expected[expected > 0.5], atol=2e-6)


def test_a_transform_equals_those_of_torch_and_scipy() -> None:
    wave = noise(4321)
    found = STFT(CONFIG, 4321, wave.device)(wave)[0]
    samples = padded(wave)
    by_torch = torch.stft(
        torch.from_numpy(samples), 400, 160, window=torch.hann_window(400).double(), center=False, return_complex=True
    )
    torch.testing.assert_close(found, by_torch.T.to(found.dtype), atol=1e-5, rtol=0)
    by_scipy = 200 * scipy.signal.stft(samples, nperseg=400, noverlap=240, boundary=None, padded=False)[2].T
    np.testing.assert_allclose(found.numpy(), by_scipy, atol=1e-5)


def test_griffin_lim_equals_a_slow_one_in_float64() -> None:
    wave, other = noise(1000), noise(1000, seed=1)
    spectrum = analyse(wave, CONFIG)
    wanted = magnitudes(spectrum, CONFIG)[0].double().numpy()

    def with_magnitudes(c: np.ndarray) -> np.ndarray:
        return np.concatenate([c[:, :1], wanted * np.exp(1j * np.angle(c[:, 1:]))], 1)

    c, before = with_magnitudes(slow_stft(other)), None
    for _ in range(4):
        t = slow_stft(torch.from_numpy(slow_wave(c, 1000))[None])
        c, before = with_magnitudes(t if before is None else t + 0.99 * (t - before)), t
    found = synthesise(spectrum, 1000, CONFIG, phase_of=other, iterations=4)
    np.testing.assert_allclose(found[0].numpy(), slow_wave(c, 1000), atol=1e-4)


@pytest.mark.parametrize("samples", LENGTHS)
def test_a_clip_of_n_samples_comes_back_with_n_samples(samples: int) -> None:
    wave = noise(samples)
    spectrum = analyse(wave, CONFIG)
    assert spectrum.shape == (1, -(-samples // 160), 200)
    assert spectrum.dtype == torch.float32
    assert 0 <= spectrum.min() <= spectrum.max() <= 1
    torch.testing.assert_close(
        synthesise(spectrum, samples, CONFIG, phase_of=wave, iterations=1), wave, atol=1e-4, rtol=0
    )
    assert synthesise(spectrum, samples, CONFIG, iterations=1).shape == wave.shape


def test_200_ms_are_20_columns() -> None:
    assert CONFIG.columns(3200) == 20
    assert (CONFIG.bins, CONFIG.fps) == (200, 100.0)


def test_silence_is_0_and_stays_silent() -> None:
    silence = torch.zeros(1, 5000)
    spectrum = analyse(silence, CONFIG)
    assert not spectrum.any()
    assert not synthesise(spectrum, 5000, CONFIG).any()
    assert synthesise(spectrum, 5000, CONFIG, phase_of=noise(5000)).abs().max() < 1e-5  # 0 Hz dies away
    half = torch.cat([silence, noise(5000)], 1)
    back = synthesise(analyse(half, CONFIG), 10_000, CONFIG, phase_of=half)
    assert back[:, :4600].abs().max() < 1e-4  # the last windows of the silence see the noise


@pytest.mark.parametrize("hertz", [40, 1000, 4040, 7960])
def test_a_sine_has_its_energy_in_its_bin_at_6_db_below_full_scale(hertz: int) -> None:
    spectrum = analyse(sine(hertz), CONFIG)[0, 5:-5]
    energy = magnitudes(spectrum[None], CONFIG)[0].square()
    assert (spectrum.argmax(1) == hertz // 40 - 1).all()
    torch.testing.assert_close(-100 * (1 - spectrum.amax(1)), torch.full((40,), -6.02), atol=0.01, rtol=0)
    near = energy[:, max(0, hertz // 40 - 2) : hertz // 40 + 1]  # a Hann window sees a tone in three bins
    assert (near.sum(1) / energy.sum(1)).min() > 0.9999


def test_a_value_is_a_hundredth_of_a_decibel() -> None:
    loud, quiet = analyse(voice(), CONFIG), analyse(voice() / 10, CONFIG)
    heard = quiet > 0
    torch.testing.assert_close((loud - quiet)[heard], torch.full_like(loud, 0.2)[heard], atol=1e-3, rtol=0)


def test_no_wave_in_range_is_cut_off_and_what_is_louder_is_kept_at_1() -> None:
    fastest = torch.tensor([1.0, -1.0]).repeat(1, 2000)
    assert analyse(fastest, CONFIG)[0, 5:-5, -1].sub(1).abs().max() < 1e-6
    assert analyse(4 * fastest, CONFIG).max() == 1
    clipped = sine(200, amplitude=10.0).clamp(-1, 1)
    assert analyse(clipped, CONFIG).max() < 1
    back = synthesise(analyse(clipped, CONFIG), 8000, CONFIG, phase_of=clipped)
    torch.testing.assert_close(back, clipped, atol=1e-2, rtol=0)


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0])
def test_loudness_is_kept(gain: float) -> None:
    wave = gain * voice()
    spectrum = analyse(wave, CONFIG)
    back = synthesise(spectrum, 16_000, CONFIG, phase_of=wave)
    assert level_db(back) == pytest.approx(level_db(wave), abs=0.02)  # what is below the floor is lost
    without = synthesise(spectrum, 16_000, CONFIG, generator=seeded())
    assert level_db(without) == pytest.approx(level_db(wave), abs=0.2)


def test_an_offset_which_a_spectrum_leaves_out_comes_back_with_the_source() -> None:
    wave = voice() + 0.05
    back = synthesise(analyse(wave, CONFIG), 16_000, CONFIG, phase_of=wave)
    assert back.mean().item() == pytest.approx(wave.mean().item(), abs=1e-3)
    assert misfit(back, analyse(wave, CONFIG)) < -50


def test_another_voices_magnitudes_are_met_with_a_sources_phase() -> None:
    wanted, source = analyse(voice(pitch=150), CONFIG), voice()
    errors = [misfit(synthesise(wanted, 16_000, CONFIG, phase_of=source, iterations=n), wanted) for n in (0, 4, 16, 64)]
    assert all(after < before - 1 for before, after in pairwise(errors))
    assert errors[-1] < -15


def test_estimated_phases_are_a_better_start_than_those_of_noise() -> None:
    wave = voice()
    spectrum = analyse(wave, CONFIG)
    estimated = [
        misfit(synthesise(spectrum, 16_000, CONFIG, generator=seeded(), iterations=n), spectrum) for n in (0, 32)
    ]
    random = [
        misfit(synthesise(spectrum, 16_000, CONFIG, phase_of=noise(16_000), iterations=n), spectrum) for n in (0, 32)
    ]
    assert estimated[0] < random[0] - 5
    assert estimated[1] < random[1] - 3
    assert estimated[1] < -20


@pytest.mark.parametrize("hertz", [1000.0, 1013.0])
def test_a_sines_phase_advances_by_its_frequency(hertz: float) -> None:
    phase = estimated_phase(analyse(sine(hertz), CONFIG), CONFIG, seeded())[0, 5:-5]
    found = phase[1:, 24] - phase[:-1, 24]
    error = (found - 2 * torch.pi * hertz * 160 / 16_000 + torch.pi) % (2 * torch.pi) - torch.pi
    assert error.abs().max() < 0.2


def test_noise_without_phases_is_noise_and_not_clicks() -> None:
    even = torch.full((1, 500, 200), 0.6)
    hump = (0.6 - 0.3 * torch.linspace(-1, 1, 200).square()).expand(1, 500, 200)
    for spectrum in (even, hump):
        wave = synthesise(spectrum, 80_000, CONFIG, generator=seeded())
        pieces = wave[0].unfold(0, 800, 400)
        kurtosis = pieces.pow(4).mean(1) / pieces.square().mean(1).square()  # 3 in Gaussian noise, 160 in clicks
        assert kurtosis.median() < 4


def test_nothing_is_heard_where_windows_and_segments_meet() -> None:
    for source in (voice(), None):
        back = synthesise(analyse(voice(), CONFIG), 16_000, CONFIG, phase_of=source, generator=seeded())
        jumps = back.diff().abs()[0]
        after_border = torch.arange(1, 16_000) % 160 == 0
        assert jumps[after_border].max() <= jumps[~after_border].max()
        assert jumps.max() < 1.5 * voice().diff().abs().max()


def test_a_silent_source_has_no_phase_to_give() -> None:
    spectrum = analyse(voice(), CONFIG)
    alone = synthesise(spectrum, 16_000, CONFIG, generator=seeded())
    beside_silence = synthesise(spectrum, 16_000, CONFIG, phase_of=torch.zeros(1, 16_000), generator=seeded())
    torch.testing.assert_close(beside_silence, alone)


def test_a_seed_decides_and_another_decides_otherwise() -> None:
    spectrum = analyse(noise(3200), CONFIG)
    first, again, other = (synthesise(spectrum, 3200, CONFIG, generator=seeded(seed)) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert (first - other).abs().max() > 0.01


def test_a_clip_does_not_depend_on_its_neighbours() -> None:
    waves = torch.cat([noise(5000), voice(5000), sine(300, 5000)])
    spectra = analyse(waves, CONFIG)
    torch.testing.assert_close(spectra[1:2], analyse(waves[1:2], CONFIG), atol=1e-4, rtol=0)
    together = synthesise(spectra, 5000, CONFIG, generator=[seeded(1), seeded(2), seeded(3)])
    alone = synthesise(spectra[1:2], 5000, CONFIG, generator=[seeded(2)])
    torch.testing.assert_close(together[1:2], alone, atol=1e-4, rtol=0)


def test_no_gradient_is_kept_through_synthesis() -> None:
    spectrum = analyse(noise(800), CONFIG).requires_grad_()
    assert not synthesise(spectrum, 800, CONFIG).requires_grad


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_shapes_are_told() -> None:
    with pytest.raises(ShapeError, match="0 samples"):
        analyse(torch.zeros(1, 0), CONFIG)
    spectrum = analyse(noise(800), CONFIG)
    with pytest.raises(ShapeError, match=r"801 samples have a spectrum of \(1, 6, 200\), not \(1, 5, 200\)"):
        synthesise(spectrum, 801, CONFIG)
    with pytest.raises(ShapeError, match=r"phase_of is \(1, 799\); it must be \(1, 800\)"):
        synthesise(spectrum, 800, CONFIG, phase_of=noise(799))


def test_a_config_comes_back_from_json_and_refuses_what_cannot_be_inverted() -> None:
    assert SpectrumConfig.model_validate_json(CONFIG.model_dump_json()) == CONFIG
    for window, hop in ((401, 160), (400, 161), (300, 160)):
        with pytest.raises(ValidationError, match="both must be even and the window two hops"):
            SpectrumConfig(window=window, hop=hop)
    with pytest.raises(ValidationError, match="Extra inputs"):
        SpectrumConfig.model_validate({"bins": 200})


@pytest.mark.parametrize("config", [SpectrumConfig(window=512, hop=128), SpectrumConfig(window=320, hop=160)])
def test_other_windows_come_back_too(config: SpectrumConfig) -> None:
    wave = noise(5001)
    back = synthesise(analyse(wave, config), 5001, config, phase_of=wave)
    torch.testing.assert_close(back, wave, atol=1e-3, rtol=0)


def test_real_speech_stays_intelligible_without_a_model() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no LibriSpeech in {REAL}; set RWAE_DATA to the folder that holds librispeech_mini/")
    for path in sorted(REAL.glob("*/*/*-0003.flac")):
        samples, rate = soundfile.read(path, dtype="float32")
        wave = torch.from_numpy(samples)[None]
        spectrum = analyse(wave, CONFIG)
        for source, least, most in ((wave, 0.95, 1.0), (None, 0.85, 2.5)):
            back = synthesise(spectrum, len(samples), CONFIG, phase_of=source, generator=seeded())
            distance = 100 * (analyse(back, CONFIG) - spectrum).square().mean(2).sqrt().mean()
            assert stoi(samples, back[0].numpy(), rate) > least, path
            assert distance < most, path


def test_a_wave_is_made_as_loud_as_another_and_silence_stays() -> None:
    wave, source = torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)), torch.full((3, 900), 0.2)
    wave[1], source[2] = 0, 0
    found = as_loud_as(wave, source)
    assert found.square().mean(1).sqrt().tolist() == pytest.approx([0.2, 0.0, 0.0], abs=1e-6)
    torch.testing.assert_close(found[0] / found[0, 0], wave[0] / wave[0, 0])
    faint = as_loud_as(1e-3 * wave[:1], source[:1])
    assert (faint / wave[:1]).max().item() == pytest.approx(1e-2)  # 20 dB and no more
