"""What is written can be read: by Pillow, by FFmpeg, and by ourselves."""

from __future__ import annotations

import io
import time
from typing import Any, get_args

import av
import numpy as np
import pytest
from mediafiles import Decode, Frames, moving, pixel_art, psnr
from PIL import Image

from rwae_core.media.encode import MEDIA_TYPES, VideoFormat, encode_video, grid

FILMS: list[VideoFormat] = ["mp4", "webm"]
ANIMATIONS: list[VideoFormat] = ["gif", "webp", "apng"]
CLIPS = FILMS + ANIMATIONS


def read_film(data: bytes) -> tuple[Frames, list[float], Any]:
    """Frames, when each is shown in seconds, and the properties of the stream."""
    with av.open(io.BytesIO(data)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        shown = np.stack([frame.to_ndarray(format="rgb24").astype(np.uint8) for frame in frames])
        return shown, [frame.time for frame in frames], stream.codec_context


def read_images(data: bytes) -> tuple[Frames, list[float], int | None]:
    """Frames, the seconds that each is shown, and how often all are (0: for ever)."""
    with Image.open(io.BytesIO(data)) as image:
        frames, durations = [], []
        for index in range(getattr(image, "n_frames", 1)):
            image.seek(index)
            frames.append(np.asarray(image.convert("RGB")))
            durations.append(image.info.get("duration", 0) / 1000)
        return np.stack(frames), durations, image.info.get("loop")


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(get_args(VideoFormat)) == {"mp4", "webm", "gif", "webp", "apng", "png"}


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("fps", [0.1, 5, 12.5, 24000 / 1001, 30, 60, 240])
@pytest.mark.parametrize("length", [1, 2, 8, 100])
def test_films_keep_frames_and_rate(form: VideoFormat, fps: float, length: int) -> None:
    frames = moving(length, 32, 32)
    shown, times, _ = read_film(encode_video(frames, fps, form))
    assert shown.shape == frames.shape
    np.testing.assert_allclose(times, np.arange(length) / fps, atol=0.00051)  # WebM counts milliseconds


@pytest.mark.parametrize("form", ANIMATIONS)
@pytest.mark.parametrize("fps", [0.1, 5, 12.5, 24000 / 1001, 30, 50])
@pytest.mark.parametrize("length", [1, 2, 8, 100])
def test_animations_keep_frames_and_rate(form: VideoFormat, fps: float, length: int) -> None:
    frames = pixel_art(length, 8, 8)
    shown, durations, loop = read_images(encode_video(frames, fps, form))
    assert len(shown) == length
    tick = {"gif": 0.01, "webp": 0.001, "apng": 0.0}[form]
    if form != "webp" or length > 1:  # Pillow tells no duration of a lone frame
        assert sum(durations) == pytest.approx(length / fps, rel=1e-4, abs=0.51 * tick)
        assert max(durations) - min(durations) <= 1.01 * tick + 1e-9
        assert loop == 0


@pytest.mark.parametrize("form", CLIPS)
@pytest.mark.parametrize("fps", [5, 12.5, 25, 50])
@pytest.mark.parametrize("length", [1, 8])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_we_write_we_read(decode: Decode, form: VideoFormat, fps: float, length: int, channels: int) -> None:
    frames = moving(length)[..., :channels]
    clip = decode(encode_video(frames, fps, form), channels=channels)
    assert clip.frames.shape == frames.shape
    assert clip.fps == pytest.approx(fps, rel=0.01)


@pytest.mark.parametrize("form", CLIPS)
def test_frames_that_repeat_are_kept(decode: Decode, form: VideoFormat) -> None:
    """A person at rest is a clip too, of as many frames."""
    still = np.repeat(moving(1), 8, axis=0)
    clip = decode(encode_video(still, 10, form))
    assert len(clip.frames) == 8
    assert clip.fps == pytest.approx(10)


@pytest.mark.parametrize("fps", [60, 240])
def test_gif_is_no_faster_than_browsers_show_it(fps: float) -> None:
    _, durations, _ = read_images(encode_video(pixel_art(4, 8, 8), fps, "gif"))
    assert durations == [0.02] * 4


@pytest.mark.parametrize("form", ["webp", "apng"])
@pytest.mark.parametrize("scale", [1, 3])
def test_lossless_formats_are(decode: Decode, form: VideoFormat, scale: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    data = encode_video(frames, 10, form, scale)
    np.testing.assert_array_equal(read_images(data)[0], frames.repeat(scale, 1).repeat(scale, 2))
    np.testing.assert_array_equal(decode(data).frames, frames)


@pytest.mark.parametrize("colours", [1, 2, 3, 16, 17, 200, 256])
@pytest.mark.parametrize("scale", [1, 2])
def test_gif_is_lossless_while_colours_suffice(decode: Decode, colours: int, scale: int) -> None:
    frames = pixel_art(5, colours=colours)
    np.testing.assert_array_equal(decode(encode_video(frames, 10, "gif", scale)).frames, frames)


def test_gif_of_many_colours_is_near() -> None:
    assert psnr(read_images(encode_video(moving(4), 10, "gif"))[0], moving(4)) > 26


@pytest.mark.parametrize("form", FILMS)
def test_films_lose_little(form: VideoFormat) -> None:
    grey = moving(8)[..., :1].repeat(3, -1)  # of colours, half the resolution is lost in any case
    assert psnr(read_film(encode_video(grey, 10, form))[0], grey) > 40
    coloured = moving(8)
    assert psnr(read_film(encode_video(coloured, 10, form))[0], coloured) > 33
    assert psnr(read_film(encode_video(coloured, 10, form, 4))[0], coloured.repeat(4, 1).repeat(4, 2)) > 36


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120)])
def test_colours_of_films_are_right(decode: Decode, form: VideoFormat, colour: tuple[int, int, int]) -> None:
    frames = np.full((3, 64, 64, 3), colour, np.uint8)
    np.testing.assert_allclose(decode(encode_video(frames, 10, form)).frames, frames, atol=4)


def test_mp4_plays_everywhere() -> None:
    data = encode_video(moving(8), 10, "mp4")
    assert data[4:8] == b"ftyp"
    assert data.index(b"moov") < data.index(b"mdat")
    _, _, stream = read_film(data)
    assert (stream.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert (stream.colorspace, stream.color_primaries, stream.color_trc, stream.color_range) == (1, 1, 1, 1)


@pytest.mark.parametrize("form", FILMS)
@pytest.mark.parametrize(("height", "width"), [(63, 65), (1, 1), (64, 7)])
def test_odd_sides_are_made_even(form: VideoFormat, height: int, width: int) -> None:
    frames = moving(1, height, width)[..., :1].repeat(3, 0).repeat(3, -1)
    shown, _, _ = read_film(encode_video(frames, 10, form))
    assert shown.shape[1:3] == (height + height % 2, width + width % 2)
    assert psnr(shown[:, :height, :width], frames) > 35
    _, _, enlarged = read_film(encode_video(frames, 10, form, 2))
    assert (enlarged.height, enlarged.width) == (2 * height, 2 * width)


@pytest.mark.parametrize("form", ANIMATIONS)
@pytest.mark.parametrize(("height", "width"), [(63, 65), (1, 1), (64, 7)])
def test_animations_are_of_any_size(form: VideoFormat, height: int, width: int) -> None:
    frames = pixel_art(3, height, width, colours=9)
    np.testing.assert_array_equal(read_images(encode_video(frames, 10, form, 2))[0], frames.repeat(2, 1).repeat(2, 2))


def test_png_shows_frames_side_by_side() -> None:
    frames = moving(5)
    (shown,), _, _ = read_images(encode_video(frames, 10, "png", 2))
    np.testing.assert_array_equal(shown, np.hstack(list(frames)).repeat(2, 0).repeat(2, 1))


def test_long_clips_have_room_for_their_index() -> None:
    assert len(read_film(encode_video(np.zeros((700, 16, 16, 3), np.uint8), 25, "mp4"))[0]) == 700


@pytest.mark.parametrize(
    ("frames", "fps", "scale"),
    [
        (np.zeros((4, 8, 8, 3), np.float32), 10, 1),
        (np.zeros((8, 8, 3), np.uint8), 10, 1),
        (np.zeros((4, 8, 8, 2), np.uint8), 10, 1),
        (np.zeros((0, 8, 8, 3), np.uint8), 10, 1),
        (np.zeros((4, 8, 8, 3), np.uint8), 0, 1),
        (np.zeros((4, 8, 8, 3), np.uint8), float("nan"), 1),
        (np.zeros((4, 8, 8, 3), np.uint8), 1000, 1),
        (np.zeros((4, 8, 8, 3), np.uint8), 10, 0),
        (np.zeros((1, 1024, 8, 3), np.uint8), 10, 16),
    ],
)
def test_what_is_no_clip_is_refused(frames: Any, fps: float, scale: int) -> None:
    with pytest.raises(ValueError, match=r"is|are"):
        encode_video(frames, fps, "mp4", scale)


def test_encoding_a_clip_takes_milliseconds() -> None:
    frames = moving(8)
    durations = []
    for _ in range(9):
        start = time.perf_counter()
        encode_video(frames, 12.5, "mp4")
        durations.append(time.perf_counter() - start)
    assert min(durations) < 0.02


@pytest.mark.parametrize(("count", "rows", "columns"), [(1, 1, 1), (2, 1, 2), (3, 2, 2), (5, 2, 3), (9, 3, 3)])
def test_clips_are_tiled_row_by_row(count: int, rows: int, columns: int) -> None:
    clips = np.arange(1, count + 1, dtype=np.uint8)[:, None, None, None, None] * np.ones((1, 2, 4, 5, 3), np.uint8)
    tiled = grid(clips)
    assert tiled.shape == (2, rows * 4, columns * 5, 3)
    order = tiled[1, ::4, ::5, 0].ravel()
    np.testing.assert_array_equal(order, [*range(1, count + 1), *[0] * (rows * columns - count)])
    np.testing.assert_array_equal(tiled[:, :4, :5], clips[0])
