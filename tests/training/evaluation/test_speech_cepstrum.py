"""Mel cepstra against a slow reference, and alignment against the textbook's."""

import math

import numpy as np
import pytest
import torch
from scipy.fft import dct

from tests.training.evaluation import chorus
from training.evaluation.speech.cepstrum import aligned_distance, loud, mel_cepstra


def slow_cepstra(wave: np.ndarray, coefficients: int) -> np.ndarray:
    """One column, one band, one bin at a time."""
    columns = math.ceil(len(wave) / 160)
    padded = np.concatenate([np.zeros(176), wave, np.zeros(columns * 160 + 176 - len(wave))])
    edges = [700 * (10 ** (mel / 2595) - 1) for mel in np.linspace(0, 2595 * math.log10(1 + 8000 / 700), 42)]
    levels = np.zeros((columns, 40))
    for column in range(columns):
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(512) / 512)
        power = np.abs(np.fft.rfft(padded[160 * column : 160 * column + 512] * hann)) ** 2
        for band in range(40):
            low, centre, high = edges[band : band + 3]
            total = weights = 0.0
            for k in range(257):
                hertz = k * 16_000 / 512
                weight = max(0.0, min((hertz - low) / (centre - low), (high - hertz) / (high - centre)))
                total, weights = total + weight * power[k], weights + weight
            levels[column, band] = 10 * math.log10(total / weights + 1e-12)
    levels = np.maximum(levels, levels.max() - 60)
    return dct(levels, norm="ortho", axis=1)[:, 1 : 1 + coefficients] / math.sqrt(40)


def slow_alignment(a: np.ndarray, b: np.ndarray) -> float:
    """Every cell by itself."""
    total: dict[tuple[int, int], tuple[float, int]] = {}
    for i in range(len(a)):
        for j in range(len(b)):
            local = float(np.linalg.norm(a[i] - b[j]))
            before = [total[cell] for cell in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if cell in total]
            cost, steps = min(before) if before else (0.0, 0)
            total[i, j] = (cost + local, steps + 1)
    cost, steps = total[len(a) - 1, len(b) - 1]
    return cost / steps


def test_cepstra_are_those_of_a_slow_reference() -> None:
    wave = chorus.utterance(0, 0)[:4000]
    torch.testing.assert_close(
        mel_cepstra(wave), torch.from_numpy(slow_cepstra(wave.double().numpy(), 13)).float(), atol=2e-3, rtol=0
    )


def test_the_distance_of_all_coefficients_is_the_deviation_of_levels_in_db() -> None:
    wave = chorus.utterance(0, 0)[:4000]
    a, b = mel_cepstra(wave, 39), mel_cepstra(torch.nn.functional.pad(wave, (1, 0))[:-1] + 0.5 * wave, 39)
    levels = [dct(np.pad(c.numpy(), ((0, 0), (1, 0))) * math.sqrt(40), type=3, norm="ortho", axis=1) for c in (a, b)]
    expected = np.sqrt(((levels[0] - levels[1]) ** 2).mean(1))  # their means over bands are 0
    np.testing.assert_allclose((a - b).norm(dim=1).numpy(), expected, rtol=1e-4)


def test_loudness_does_not_change_them() -> None:
    wave = chorus.utterance(0, 0)
    torch.testing.assert_close(mel_cepstra(0.1 * wave), mel_cepstra(wave), atol=1e-2, rtol=0)
    assert torch.equal(loud(0.5 * wave), loud(wave))


def test_speech_is_what_is_near_the_loudest() -> None:
    wave = chorus.utterance(0, 0)
    wave[16_000:] *= 0.001
    found = loud(wave)
    assert found[5:95].float().mean() > 0.9
    assert not found[105:].any()


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (6, 1), (12, 12), (9, 17), (23, 8)])
def test_alignment_is_that_of_a_slow_reference(n: int, m: int) -> None:
    generator = torch.Generator().manual_seed(n)
    a, b = torch.randn(n, 4, generator=generator), torch.randn(m, 4, generator=generator)
    expected = slow_alignment(a.double().numpy(), b.double().numpy())
    assert aligned_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert aligned_distance(b, a) == pytest.approx(expected, rel=1e-9)


def test_what_is_said_slower_is_as_near_as_itself() -> None:
    said = mel_cepstra(chorus.utterance(0, 0))
    generator = torch.Generator().manual_seed(0)
    slower = said.repeat_interleave(torch.randint(1, 4, (len(said),), generator=generator), 0)
    assert aligned_distance(said, said) == 0
    assert aligned_distance(said, slower) == 0
    assert aligned_distance(said, mel_cepstra(chorus.utterance(0, 1))) > 2
