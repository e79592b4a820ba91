"""What comes out of files of each kind."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from mediafiles import Decode, Frames, animation, exact_gif, film, moving, pixel_art, png_chunk, psnr, quadrants
from PIL import Image

SHARP = {"crf": "8"}
FILMS: dict[str, dict[str, Any]] = {
    "mp4": {"options": SHARP},
    "mp4 in fragments": {"options": SHARP, "muxer_options": {"movflags": "frag_keyframe+empty_moov"}},
    "mp4 of hevc": {"codec": "libx265", "options": {"x265-params": "log-level=none:crf=8"}},
    "mp4 of av1": {"codec": "libsvtav1", "pixels": "yuv420p", "options": {"crf": "10", "preset": "8"}},
    "mp4 with sound": {"options": SHARP, "sound": "aac"},
    "mov": {"muxer": "mov", "options": SHARP},
    "mov of prores": {"muxer": "mov", "codec": "prores_ks", "pixels": "yuv422p10le"},
    "mov of jpeg": {"muxer": "mov", "codec": "mjpeg", "pixels": "yuvj444p", "options": {"qmin": "1", "qmax": "2"}},
    "webm of vp9": {"muxer": "webm", "codec": "libvpx-vp9", "options": {"crf": "8", "b": "0"}},
    "webm of vp8": {"muxer": "webm", "codec": "libvpx", "pixels": "yuv420p", "options": {"crf": "5", "b": "9M"}},
    "webm with sound": {"muxer": "webm", "codec": "libvpx-vp9", "options": {"crf": "8", "b": "0"}, "sound": "libopus"},
    "matroska": {"muxer": "matroska", "options": SHARP},
}
ANIMATIONS = ["GIF", "WEBP", "PNG"]


@pytest.mark.parametrize("kind", FILMS)
@pytest.mark.parametrize("fps", [10, 30000 / 1001])
def test_films_come_back(decode: Decode, kind: str, fps: float) -> None:
    frames = moving()
    with ThreadPoolExecutor(1) as thread:  # as root, SVT-AV1 leaves the one it is called in at a real-time priority
        data = thread.submit(film, frames, fps, **FILMS[kind]).result()
    clip = decode(data)
    assert clip.frames.shape == (8, 64, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert clip.fps == pytest.approx(fps, rel=1e-4)
    for index, frame in enumerate(clip.frames):
        assert np.argmax([psnr(frame, other) for other in frames]) == index
    assert psnr(clip.frames, frames) > (40 if "444" in FILMS[kind].get("pixels", "444") else 30)


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_lossless_animations_come_back_pixel_for_pixel(decode: Decode, kind: str) -> None:
    frames = pixel_art()
    data = exact_gif(frames, [8] * 8) if kind == "GIF" else animation(frames, kind, 80)
    clip = decode(data)
    np.testing.assert_array_equal(clip.frames, frames)
    assert clip.fps == pytest.approx(12.5)


@pytest.mark.parametrize("kind", ANIMATIONS)
def test_a_single_frame_is_a_clip(decode: Decode, kind: str) -> None:
    frame = pixel_art(1)
    clip = decode(exact_gif(frame, [20]) if kind == "GIF" else one_frame(kind, frame))
    np.testing.assert_array_equal(clip.frames, frame)
    assert clip.fps == pytest.approx(5)


def one_frame(kind: str, frame: Frames) -> bytes:
    """The first half of an animation: of one frame alone, Pillow would make a still image."""
    two = animation([frame[0], 255 - frame[0]], kind, 200)
    if kind == "PNG":
        second = two.index(b"fcTL", two.index(b"IDAT")) - 4
        whole = two[:second] + png_chunk(b"IEND", b"")
        control = whole.index(b"acTL") - 4
        return whole[:control] + png_chunk(b"acTL", b"\0\0\0\1\0\0\0\0") + whole[control + 20 :]
    second = two.index(b"ANMF", two.index(b"ANMF") + 4)
    return b"RIFF" + (second - 8).to_bytes(4, "little") + two[8:second]


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [(False, False), (True, False), (False, True)])
@pytest.mark.parametrize("muxer", ["mp4", "mov"])
def test_rotation_and_mirroring_are_honoured(
    decode: Decode, degrees: int, mirrored: tuple[bool, bool], muxer: str
) -> None:
    stored = quadrants()
    shown = np.rot90(stored, degrees // 90, axes=(1, 2))  # counterclockwise, then mirrored
    shown = shown[:, :, ::-1] if mirrored[0] else shown
    shown = shown[:, ::-1] if mirrored[1] else shown
    plain = decode(film(np.ascontiguousarray(shown), muxer=muxer, options=SHARP), fit="pad")
    turned = decode(film(stored, muxer=muxer, options=SHARP, rotation=(degrees, *mirrored)), fit="pad")
    assert psnr(turned.frames, plain.frames) > 35


def test_rotation_counts_counterclockwise(decode: Decode) -> None:
    clip = decode(film(quadrants(height=64, width=64), options=SHARP, rotation=(90, False, False)))
    upper_left, upper_right = clip.frames[0, 16, 16], clip.frames[0, 16, 48]
    np.testing.assert_allclose(upper_left, (0, 255, 0), atol=8)
    np.testing.assert_allclose(upper_right, (0, 0, 255), atol=8)


@pytest.mark.parametrize("muxer", ["mp4", "matroska"])
def test_variable_frame_rates_are_made_even(decode: Decode, muxer: str) -> None:
    """Ten frames per second, then a gap: on average 6 frames in 0.9 s."""
    frames = moving(6)
    clip = decode(film(frames, muxer=muxer, options=SHARP, starts=[0, 100, 200, 300, 400, 800]))
    assert clip.fps == pytest.approx(6 / 0.9, rel=1e-4)
    shown = [int(np.argmax([psnr(frame, other) for other in frames])) for frame in clip.frames]
    assert shown == [0, 2, 3, 4, 4, 5]  # on screen at 75, 225, 375, 525, 675 and 825 ms


def test_durations_of_animations_are_made_even(decode: Decode) -> None:
    frames = pixel_art(4)
    clip = decode(animation(frames, "PNG", [100, 100, 200, 400]))
    assert clip.fps == pytest.approx(5)
    np.testing.assert_array_equal(clip.frames, frames[[1, 2, 3, 3]])


@pytest.mark.parametrize("delay", [0, 1])
def test_gif_delays_that_browsers_ignore_are_a_tenth_of_a_second(decode: Decode, delay: int) -> None:
    assert decode(exact_gif(pixel_art(4), [delay] * 4)).fps == pytest.approx(10)
    assert decode(exact_gif(pixel_art(4), [2] * 4)).fps == pytest.approx(50)


def test_a_long_gap_does_not_multiply_frames(decode: Decode) -> None:
    clip = decode(film(moving(2), options=SHARP, starts=[0, 3_600_000]))
    assert len(clip.frames) == 2
    assert clip.fps == pytest.approx(0.1)
    assert len(decode(exact_gif(pixel_art(2), [65535, 65535])).frames) == 2


def translucent(length: int = 4) -> Frames:
    """Above transparent, then half transparent, below opaque."""
    frames = np.concatenate([np.full((length, 60, 60, 3), 200, np.uint8), np.zeros((length, 60, 60, 1), np.uint8)], -1)
    frames[:, 20:40, :, 3], frames[:, 40:, :, 3] = 128, 255
    frames[:, :, :, 0] += np.arange(length, dtype=np.uint8)[:, None, None] * 10
    return frames


@pytest.mark.parametrize(
    ("kind", "opacity"),
    [("WEBP", 128), ("PNG", 128), ("GIF", 255), ("vp9", 128), ("vp8", 128), ("prores", 128), ("png", 128)],
)
def test_transparency_is_laid_on_black(decode: Decode, kind: str, opacity: int) -> None:
    frames = translucent()
    frames[:, 20:40, :, 3] = opacity
    data = {
        "vp9": lambda: film(
            frames, muxer="webm", codec="libvpx-vp9", pixels="yuva420p", options={"crf": "5", "b": "0"}
        ),
        "vp8": lambda: film(frames, muxer="webm", codec="libvpx", pixels="yuva420p", options={"auto-alt-ref": "0"}),
        "prores": lambda: film(frames, muxer="mov", codec="prores_ks", pixels="yuva444p10le"),
        "png": lambda: film(frames, muxer="mov", codec="png", pixels="rgba"),
    }.get(kind, lambda: animation(frames, kind))()
    clip = decode(data, size=60)
    expected = np.rint(frames[..., :3] * (frames[..., 3:] / 255.0))
    assert len(clip.frames) == 4
    inner = np.r_[2:18, 22:38, 42:58]  # lossy kinds blur the borders between the bands
    np.testing.assert_allclose(clip.frames[:, inner], expected[:, inner], atol=1 if kind in ANIMATIONS else 8)


def test_gif_frames_are_put_together(decode: Decode) -> None:
    """A green square that moves over red, once left standing and once taken away again."""
    base = np.zeros((4, 64, 64, 3), np.uint8)
    for index, frame in enumerate(base):
        frame[16 * index : 16 * index + 16, :16] = (0, 255, 0)
    pictures = [Image.fromarray(np.dstack([frame, frame.max(-1)])) for frame in base]
    standing = decode(animation([np.asarray(picture) for picture in pictures], "GIF", disposal=1)).frames
    taken = decode(animation([np.asarray(picture) for picture in pictures], "GIF", disposal=2)).frames
    np.testing.assert_array_equal(taken, base)
    np.testing.assert_array_equal(standing[-1], base.max(0))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_frames_that_hold_changes_only_are_put_together(decode: Decode, kind: str) -> None:
    frames = np.repeat(pixel_art(1), 6, axis=0)
    for index, frame in enumerate(frames):
        frame[10 * index : 10 * index + 9, 20:40] = index
    data = animation(frames, kind, 100)
    assert len(data) < 1.5 * len(animation(frames[:1], kind)) + 6 * 64 * 9  # it does hold changes only
    np.testing.assert_array_equal(decode(data).frames, frames)


def test_an_apng_picture_for_other_programs_is_no_frame(decode: Decode) -> None:
    frames = pixel_art(4)
    data = animation(frames, "PNG", 100, default_image=True)
    np.testing.assert_array_equal(decode(data).frames, frames[1:])


def test_sixteen_bits_of_grey_are_scaled(decode: Decode) -> None:
    frames = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    images = [Image.fromarray(frames), Image.fromarray(frames[::-1].copy())]
    file = io.BytesIO()
    images[0].save(file, "PNG", save_all=True, append_images=images[1:], duration=100)
    clip = decode(file.getvalue(), channels=1)
    np.testing.assert_allclose(clip.frames[0, ..., 0], frames >> 8, atol=1)


def test_one_channel_is_luma(decode: Decode) -> None:
    frames = pixel_art()
    clip = decode(animation(frames, "PNG"), channels=1)
    assert clip.frames.shape == (8, 64, 64, 1)
    luma = frames @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(clip.frames[..., 0], luma, atol=1)


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_frames_are_fitted(decode: Decode, fit: str) -> None:
    clip = decode(animation(moving(3, 48, 96), "PNG"), size=24, fit=fit)
    assert clip.frames.shape == (3, 24, 24, 3)


@pytest.mark.parametrize(("side", "unmarked_are_bt601"), [(64, True), (720, False)])
def test_unmarked_colours_are_those_that_players_show(decode: Decode, side: int, unmarked_are_bt601: bool) -> None:
    """The file is made by BT.601 and does not say so; players take it for BT.709 from 720 lines on."""
    frames = np.full((2, side, side, 3), (100, 200, 50), np.uint8)
    shown = decode(film(frames, options=SHARP)).frames
    assert np.allclose(shown, (100, 200, 50), atol=3) == unmarked_are_bt601
