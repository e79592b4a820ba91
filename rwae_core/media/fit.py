"""Fitting frames of any size to the model's: centre-cropped, padded or stretched, then resized."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Fit = Literal["crop", "pad", "stretch"]


def on_black(image: Image.Image) -> Image.Image:
    """An image of any mode as RGB, with black behind what is transparent."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip rather than scale
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB")


def fit_frame(image: Image.Image, size: int, channels: int, fit: Fit) -> NDArray[np.uint8]:
    """Fits one frame to size×size pixels.

    Args:
        image: RGB.
        size: pixels of a side.
        channels: 3 keeps RGB, 1 turns it to luma (BT.601).
        fit: `crop` the largest square from the centre, `pad` with black to a square, or `stretch`.

    Returns:
        (size, size, channels), uint8. A frame that has the size already comes back as it is.
    """
    if channels == 1:
        image = image.convert("L")
    width, height = image.size
    if fit == "crop":
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        image = _resize(image.crop((left, top, left + side, top + side)), size, size)
    elif fit == "pad":
        side = max(width, height)
        scaled = _resize(image, max(1, round(size * width / side)), max(1, round(size * height / side)))
        image = Image.new(image.mode, (size, size))
        image.paste(scaled, ((size - scaled.width) // 2, (size - scaled.height) // 2))
    else:
        image = _resize(image, size, size)
    return np.array(image).reshape(size, size, channels)


def _resize(image: Image.Image, width: int, height: int) -> Image.Image:
    if image.size == (width, height):
        return image
    # Whole factors: the mean of whole blocks when shrinking, repeated pixels when enlarging, so that pixel art, and
    # what the service enlarged by `scale`, comes back exactly. Pillow widens the bicubic kernel when shrinking.
    if all(max(old, new) % min(old, new) == 0 for old, new in zip(image.size, (width, height), strict=True)):
        return image.resize((width, height), Image.Resampling.BOX)
    return image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
