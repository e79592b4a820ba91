"""Pictures show what the model draws, where it belongs, and are files that others can read."""

import io

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.errors import UnsupportedError
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training.baselines.mocogan import MoCoGAN, MoCoGANConfig
from training.datasets.moving_shapes import MovingShapes
from training.evaluation import pictures
from training.evaluation.findings import Picture

SIDE, PITCH = 64, 64 + pictures.GAP
SHOWN = {"name": "shown", "caption": "Shown."}


def autoencoder(*, channels: int = 3, actions: int = 0) -> RWAE:
    torch.manual_seed(0)
    frames = SimpleFrames(channels=channels, encoder_widths=(4,) * 4, decoder_widths=(4,) * 4)
    config = ModelConfig(content_dim=6, motion_dim=3, hidden_dim=8, actions=actions, frame_networks=frames)
    return RWAE(config).eval().requires_grad_(False)


def source() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def frames(picture: Picture) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(picture.data)) as image:
        assert Image.MIME[image.format or ""] == picture.media_type
        count = getattr(image, "n_frames", 1)
        shown = []
        for index in range(count):
            image.seek(index)
            shown.append(np.asarray(image.convert("RGB")))
    return np.stack(shown)


def tile(page: NDArray[np.uint8], row: int, column: int, width: int = SIDE) -> NDArray[np.uint8]:
    left = column * (width + pictures.GAP)
    return page[:, row * PITCH : row * PITCH + SIDE, left : left + width]


def as_bytes(clip: torch.Tensor) -> NDArray[np.uint8]:
    return clip.mul(255).round().byte().movedim(1, -1).numpy()


@pytest.mark.parametrize("actions", [0, 3])
def test_the_table_of_swaps_is_the_models_swap_of_each_pair(actions: int) -> None:
    model = autoencoder(actions=actions)
    clips = torch.rand(5, 4, 3, SIDE, SIDE, generator=source())
    table = pictures.swap_table(model, clips[:2], clips[2:])
    assert table.shape == (3, 4, 4, 3, SIDE, SIDE)
    assert not table[0, 0].any()
    reconstructions = model.decode(model.encode(clips))
    for row, column in [(0, 0), (0, 2), (1, 1)]:
        swapped = model.swap(clips[row : row + 1], clips[2 + column : 3 + column])
        torch.testing.assert_close(table[1 + row, 1 + column], swapped[0])
        torch.testing.assert_close(table[1 + row, 0], reconstructions[row])
        torch.testing.assert_close(table[0, 1 + column], reconstructions[2 + column])


def test_swaps_of_a_dataset_play_at_its_rate_beside_a_sheet_of_ten_frames() -> None:
    model, data = autoencoder(), MovingShapes(None, "test", frames=12)
    contents, motions = torch.tensor([0, 7]), torch.tensor([3, 11, 20])
    film, sheet = pictures.swap_figure(model, data, contents, motions, **SHOWN, figure=2)
    assert (film.file, sheet.file, film.figure, sheet.figure) == ("shown.gif", "shown-sheet.png", 2, 2)
    assert "10 of 12 frames" in sheet.caption
    played, still = frames(film), frames(sheet)
    assert played.shape == (12, 3 * PITCH - 4, 4 * PITCH - 4, 3)
    assert still.shape == (1, 3 * PITCH - 4, 4 * (640 + 4) - 4, 3)
    with Image.open(io.BytesIO(film.data)) as image:
        seconds = 0.0
        for index in range(12):
            image.seek(index)
            seconds += image.info["duration"] / 1000
    assert seconds == pytest.approx(12 / data.fps, abs=0.02)

    swapped = as_bytes(model.swap(data.clips(contents[1:]), data.clips(motions[2:]))[0])
    np.testing.assert_allclose(tile(played, 2, 3).astype(int), swapped, atol=8)  # a palette for all frames
    shown = [0, 1, 2, 4, 5, 6, 7, 9, 10, 11]
    np.testing.assert_allclose(tile(still, 2, 3, 640)[0].astype(int), np.concatenate(swapped[shown], 1), atol=8)


def test_generated_grey_clips_are_the_models_to_the_pixel() -> None:
    model = autoencoder(channels=1)
    film, sheet = pictures.generated(model, 3, 5, source(), fps=8.0, **SHOWN, figure=4)
    clips = model.generate(5, 3, source()).expand(-1, -1, 3, -1, -1)
    played, still = frames(film), frames(sheet)
    assert played.shape == (3, 2 * PITCH - 4, 3 * PITCH - 4, 3)
    assert still.shape == (1, 5 * PITCH - 4, 3 * SIDE, 3)
    for index, clip in enumerate(map(as_bytes, clips)):
        np.testing.assert_array_equal(tile(played, index // 3, index % 3), clip)
        np.testing.assert_array_equal(tile(still, index, 0, 3 * SIDE)[0], np.concatenate(clip, 1))
    assert (tile(played, 1, 2) == round(255 * pictures.GREY)).all(), "the spare tile is not the model's"


def test_actions_have_a_row_each_and_a_column_is_one_draw() -> None:
    torch.manual_seed(0)
    model = MoCoGAN(MoCoGANConfig(actions=4, channels=1, widths=(4, 4, 4, 4))).eval().requires_grad_(False)
    film, sheet = pictures.generated(model, 2, 9, source(), fps=8.0, **SHOWN)
    played = frames(film)
    assert played.shape == (2, 4 * PITCH - 4, 2 * PITCH - 4, 3)
    assert frames(sheet).shape == (1, 8 * PITCH - 4, 2 * SIDE, 3)
    codes = model.sample(9, 2, source())
    for row, column in [(0, 0), (2, 1), (3, 0)]:
        action = torch.eye(4)[row : row + 1]
        drawn = Latents(codes.z_c[column : column + 1], codes.z_m[column : column + 1], action)
        clip = as_bytes(model.decode(drawn)[0].expand(-1, 3, -1, -1))
        np.testing.assert_allclose(tile(played, row, column).astype(int), clip, atol=1)
    assert len(frames(pictures.generated(model, 2, 1, source(), fps=8.0, **SHOWN)[0])) == 2, "fewer clips than actions"


def test_kept_content_starts_with_the_reconstruction_and_then_moves_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    model = autoencoder(channels=1)
    codes = model.encode(torch.rand(2, 3, 1, SIDE, SIDE, generator=source()))
    film, sheet = pictures.kept_content(model, codes, 3, source(), fps=8.0, **SHOWN, figure=12)
    played = frames(film)
    assert played.shape == (3, 2 * PITCH - 4, 4 * PITCH - 4, 3)
    np.testing.assert_array_equal(tile(played, 1, 0), as_bytes(model.decode(codes)[1].expand(-1, 3, -1, -1)))
    first = model.decode(model.sample(2, 3, source(), z_c=codes.z_c))
    np.testing.assert_array_equal(tile(played, 1, 1), as_bytes(first[1].expand(-1, 3, -1, -1)))
    assert (tile(played, 1, 1) != tile(played, 1, 2)).any()

    monkeypatch.setattr(pictures, "DECODED_FRAMES", 1)
    few_at_once = pictures.kept_content(model, codes, 3, source(), fps=8.0, **SHOWN, figure=12)
    np.testing.assert_allclose(frames(few_at_once[0]).astype(int), played, atol=1)
    np.testing.assert_allclose(frames(few_at_once[1]).astype(int), frames(sheet), atol=1)


def test_without_an_encoder_there_is_no_swap() -> None:
    model = MoCoGAN(MoCoGANConfig(widths=(4, 4, 4, 4))).eval()
    data = MovingShapes(None, "test", frames=2)
    with pytest.raises(UnsupportedError, match="cannot encode"):
        pictures.swap_figure(model, data, torch.tensor([0]), torch.tensor([1]), **SHOWN)
