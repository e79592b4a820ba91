"""A motion input freed of its recording's moments has none left, whatever the microphone was."""

import torch

from rwae_core.moments import FLOOR, contrast, moments, standardised


def test_nothing_of_mean_and_deviation_is_left_per_bin() -> None:
    recording = torch.rand(3, 50, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    of = moments(recording)
    assert of.shape == (3, 2, 7)
    freed = standardised(recording, of)
    torch.testing.assert_close(freed.mean(1), torch.zeros(3, 7, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(freed.std(1, correction=0) * (of[:, 1] + FLOOR), of[:, 1])

    # Another microphone, room and distance: what is added and by how much speech stands out differ from bin to bin.
    gain, offset = 0.3 + torch.rand(3, 1, 7, dtype=torch.float64), torch.rand(3, 1, 7, dtype=torch.float64)
    elsewhere = gain * recording + offset
    again = standardised(elsewhere, moments(elsewhere))
    loud = 1 / (1 + FLOOR / of[:, None, 1]) - 1 / (1 + FLOOR / (gain * of[:, None, 1]))
    assert (again - freed).abs().max() <= (
        recording.sub(of[:, :1]) / of[:, None, 1]
    ).abs().max() * loud.abs().max() + 1e-9


def test_silence_stays_still() -> None:
    silence = torch.full((1, 9, 4), 0.2)
    assert not standardised(silence, moments(silence)).abs().max() > 1e-5


def test_contrast_is_the_same_whatever_the_light_and_of_each_frame_alone() -> None:
    clip = torch.rand(2, 4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = contrast(clip)
    expected = torch.empty_like(clip)
    for b, t, c in torch.cartesian_prod(torch.arange(2), torch.arange(4), torch.arange(3)).tolist():
        pixels = clip[b, t, c]
        expected[b, t, c] = (pixels - pixels.mean()) / (pixels.std(correction=0) + FLOOR)
    torch.testing.assert_close(found, expected)
    assert (contrast(0.5 * clip + 0.3) - found).abs().max() < 0.3
    torch.testing.assert_close(contrast(clip[:, 2:3])[:, 0], found[:, 2])
    assert contrast(torch.full((1, 1, 3, 8, 8), 0.7)).abs().max() < 1e-5
