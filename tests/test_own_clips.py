"""A folder of one's own clips becomes a served model by the README's commands, whatever else lies in the folder."""

import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rwae_core.media.decode import decode_video
from rwae_core.media.encode import VideoFormat, encode_audio, encode_video
from rwae_core.media.limits import MediaLimits
from service.app import create_app
from service.settings import Settings
from training import preset
from training.datasets.moving_shapes import MovingShapes

sys.path.insert(0, str(Path(__file__).parent / "service"))
from serving import serving

ROOT = Path(__file__).parent.parent
FORMATS: tuple[VideoFormat, ...] = ("mp4", "gif", "webm", "apng")
SIZES = ((64, 64), (64, 48), (40, 64), (56, 60), (64, 36))
SCALES = (1, 2, 3)
RATES = (6, 10, 12.5, 15, 24, 30, 50)


def clip(number: int) -> np.ndarray:
    """Moving shapes, 8 to 24 frames, cut to a size of its own."""
    shapes = MovingShapes(None, "train", frames=8 + number % 17)
    frames = shapes.clips(torch.tensor([number]))[0].mul(255).byte().permute(0, 2, 3, 1).numpy()
    height, width = SIZES[number % len(SIZES)]
    return np.ascontiguousarray(frames[:, :height, :width])


def corrupt() -> dict[str, bytes]:
    """Ten files that are no clips, each in a way of its own."""
    whole = {kind: encode_video(clip(16), 12, kind, 2) for kind in FORMATS}
    still = io.BytesIO()
    Image.fromarray(clip(0)[0]).save(still, "PNG")
    flipped = bytearray(whole["apng"])
    flipped[len(flipped) // 2] ^= 255
    return {
        "cut.mp4": whole["mp4"][: len(whole["mp4"]) // 2],
        "cut.gif": whole["gif"][: len(whole["gif"]) // 2],
        "new/cut.webm": whole["webm"][: len(whole["webm"]) // 2],
        "new/cut.png": whole["apng"][: len(whole["apng"]) // 2],
        "old/flipped.png": bytes(flipped),
        "old/noise.mp4": np.random.default_rng(0).bytes(5000),
        "old/notes.gif": b"what these clips show\n" * 50,
        "old/empty.webm": b"",
        "photo.png": still.getvalue(),
        "voice.mp4": encode_audio(np.sin(np.arange(8000) / 10), 16_000, "wav"),
    }


def write_clips(folder: Path) -> dict[str, bytes]:
    """190 clips of four kinds, five shapes in three sizes and seven rates, and ten files that are none."""
    clips = {}
    for number in range(190):
        kind = FORMATS[number % len(FORMATS)]
        name = f"{('.', 'old', 'new/more')[number % 3]}/{number}.{'png' if kind == 'apng' else kind}"
        rate, scale = RATES[number % len(RATES)], SCALES[number // 4 % len(SCALES)]
        clips[name.removeprefix("./")] = encode_video(clip(number), rate, kind, scale)
    for name, data in (clips | corrupt()).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return clips


def commands() -> list[list[str]]:
    """The README's on one's own clips, but for the last, which serves."""
    lines = re.findall(r"^python -m training\..*my-clips.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.slow
def test_200_clips_of_which_10_are_corrupt_are_trained_on_and_served(tmp_path: Path) -> None:
    """Decoding, 60 iterations of the preset `folder`, export, and a swap through HTTP; 1 minute on 2 cores."""
    clips = write_clips(tmp_path / "my-clips")
    shipped = (preset.FOLDER / "folder.toml").read_text()
    (tmp_path / "folder.toml").write_text(re.sub(r"^iterations = \d+", "iterations = 60", shipped, flags=re.MULTILINE))
    train, export = commands()
    assert train[3:5] == ["--preset", "folder"]
    train[4] = "folder.toml"
    done = []
    for command in (train, export):
        done.append(
            subprocess.run(
                [sys.executable, *command[1:]],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                check=False,
            )
        )
        assert done[-1].returncode == 0, done[-1].stderr
    assert "10 of 200 files in my-clips are skipped:" in done[0].stderr
    named = re.findall(r"^  (\S+): The .*\.$", done[0].stderr, re.MULTILINE)
    assert sorted(named) == sorted(corrupt())
    assert "python -m training.export runs/folder weights/folder" in done[0].stdout

    content, motion = (next(name for name in clips if name.endswith(kind)) for kind in (".webm", ".gif"))
    with serving(create_app(Settings(weights_dir=tmp_path / "weights"))) as client:
        assert [model["id"] for model in client.get("/models").json()["models"]] == [Path(export[-1]).name]
        answer = client.post("/swap", files={"content": clips[content], "motion": clips[motion]})
    assert answer.status_code == 200, answer.text
    swapped = decode_video(answer.content, size=64, channels=3, fit="crop", limits=MediaLimits())
    assert len(swapped.frames) == 8 + int(Path(motion).stem) % 17
    assert swapped.frames.std() > 1
