"""Bands of hearing, and the error that counts them."""

import numpy as np
import pytest
import torch

from training import objectives
from training.mel import BANDS, mel_bands
from training.preset import Preset, load


def test_bands_cover_all_bins_evenly_in_mel() -> None:
    bands = mel_bands(200)
    assert bands.shape == (200, BANDS)
    torch.testing.assert_close(bands.sum(0), torch.ones(BANDS))
    hertz = 40 * torch.arange(1, 201)
    centres = (hertz[:, None] * bands).sum(0)
    mel = 2595 * np.log10(1 + centres.numpy() / 700)
    expected = np.linspace(0, 2595 * np.log10(1 + 8000 / 700), BANDS + 2)[1:-1]
    assert np.abs(mel - expected).max() < 35, "to half a bin, which low bands are no wider than"
    assert (bands > 0).any(1)[:190].all()


def test_the_error_of_spectra_counts_chance_once_and_what_is_broad_twice() -> None:
    clip = torch.rand(3, 4, 200, generator=torch.Generator().manual_seed(0))
    broad = clip + 0.1
    squared = objectives.squared_error(broad, clip)
    torch.testing.assert_close(objectives.spectral_error(broad, clip), 2 * squared)

    chance = clip + 0.1 * (1 - 2 * (torch.arange(200) % 2))  # up in one bin, down in the next
    assert squared <= objectives.spectral_error(chance, clip) < 1.3 * squared

    slow = 0.0
    bands = mel_bands(200).double().numpy()
    difference = (chance - clip).double().numpy()
    for b in range(3):
        for t in range(4):
            slow += sum(difference[b, t, k] ** 2 for k in range(200))
            for m in range(BANDS):
                slow += 200 / BANDS * sum(difference[b, t, k] * bands[k, m] for k in range(200)) ** 2
    assert objectives.spectral_error(chance, clip).item() == pytest.approx(slow / 3, rel=1e-5)


def test_pixels_have_no_pitch() -> None:
    raw = load("sprites").model_dump()
    raw["objective"]["cost"] = "spectral_error"
    with pytest.raises(ValueError, match="'spectral_error' is for speech"):
        Preset.model_validate(raw)
