"""Frames of any size become square ones of the model's."""

from __future__ import annotations

import numpy as np
import pytest
from mediafiles import Frames, moving, pixel_art, psnr
from PIL import Image

from rwae_core.media.fit import Fit, fit_frame


def fitted(frame: Frames, size: int, fit: Fit, channels: int = 3) -> Frames:
    return fit_frame(Image.fromarray(frame), size, channels, fit)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_a_frame_of_the_size_stays_as_it_is(fit: Fit) -> None:
    frame = pixel_art(1)[0]
    np.testing.assert_array_equal(fitted(frame, 64, fit), frame)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("factor", [2, 3, 16])
def test_what_was_enlarged_by_whole_pixels_comes_back(fit: Fit, factor: int) -> None:
    frame = pixel_art(1, 32, 32)[0]
    large = frame.repeat(factor, 0).repeat(factor, 1)
    np.testing.assert_array_equal(fitted(large, 32, fit), frame)
    np.testing.assert_array_equal(fitted(frame, 32 * factor, fit), large)


def test_crop_keeps_the_centre() -> None:
    frame = pixel_art(1, 20, 50)[0]
    np.testing.assert_array_equal(fitted(frame, 20, "crop"), frame[:, 15:35])
    np.testing.assert_array_equal(fitted(frame.swapaxes(0, 1), 20, "crop"), frame.swapaxes(0, 1)[15:35])


def test_pad_keeps_all_between_black_bars() -> None:
    frame = pixel_art(1, 20, 40)[0] | 1
    tall = fitted(frame, 40, "pad")
    np.testing.assert_array_equal(tall[10:30], frame)
    assert not tall[:10].any()
    assert not tall[30:].any()
    half = fitted(frame.swapaxes(0, 1), 20, "pad")
    assert half[:, 5:15].all()
    assert not half[:, :5].any()
    assert not half[:, 15:].any()


def test_stretch_fills_the_square_with_all() -> None:
    frame = np.zeros((20, 40, 3), np.uint8)
    frame[:, 20:] = 255
    stretched = fitted(frame, 20, "stretch")
    assert not stretched[:, :10].any()
    assert (stretched[:, 10:] == 255).all()


@pytest.mark.parametrize("size", [64, 50, 33])
def test_shrinking_averages(size: int) -> None:
    """A chequerboard turns grey: no pixel is picked by chance."""
    board = np.indices((256, 256)).sum(0)[..., None].repeat(3, -1) % 2 * 255
    shrunk = fitted(board.astype(np.uint8), size, "crop")
    assert np.abs(shrunk.astype(int) - 127).max() < 16


def test_shrinking_keeps_brightness() -> None:
    frame = moving(1, 300, 300)[0]
    assert fitted(frame, 64, "crop").mean() == pytest.approx(frame.mean(), abs=1)


def test_enlarging_is_smooth() -> None:
    frame = moving(1, 64, 64)[0]
    assert psnr(fitted(fitted(frame, 40, "crop"), 64, "crop"), frame) > 40


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 3000), (3000, 1), (7, 5)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_becomes_the_models(fit: Fit, height: int, width: int, channels: int) -> None:
    frame = np.full((height, width, 3), 77, np.uint8)
    shown = fitted(frame, 16, fit, channels)
    assert shown.shape == (16, 16, channels)
    assert shown.dtype == np.uint8
    assert shown.max() == 77
