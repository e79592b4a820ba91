"""Bytes to clips, in this process; `MediaPool` is for bytes that are not one's own."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rwae_core.media.animations import animation_frames
from rwae_core.media.clip import VideoClip
from rwae_core.media.containers import container_frames
from rwae_core.media.errors import MediaError, MediaModalityError, UndecodableMediaError
from rwae_core.media.fit import Fit, fit_frame
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import sniff
from rwae_core.media.timing import even


def decode_video(data: bytes, *, size: int, channels: int, fit: Fit, limits: MediaLimits) -> VideoClip:
    """Decodes a clip: rotation righted, transparency laid on black, frames fitted, frame rate made even.

    Each frame is fitted as soon as it is decoded: memory holds one frame of the file's size at a time.

    Args:
        data: the file's bytes, which alone decide its kind.
        size: pixels of a side of the returned frames.
        channels: 3 for RGB, 1 for luma.
        fit: what happens to frames that are not square, see `fit_frame`.
        limits: bounds, of which `timeout_s` and `memory_mb` are for `MediaPool` to hold.

    Returns:
        Frames of (T, size, size, channels) and their rate; T is the number of frames in the file.

    Raises:
        UnsupportedMediaError: not a clip of a kind on the list.
        UndecodableMediaError: empty, cut off, damaged, or without a frame.
        MediaTooLargeError: more bytes, pixels or frames than allowed.
        MediaModalityError: sound alone.
        MemoryError: the process may not have the memory that decoding needs.
    """
    frames: list[NDArray[np.uint8]] = []
    starts: list[float] = []
    duration = 0.0
    try:
        limits.check_bytes(len(data))
        kind = sniff(data)
        if kind in ("mp4", "webm"):
            timed_frames = container_frames(data, kind, limits)
        elif kind in ("gif", "webp", "apng"):
            timed_frames = animation_frames(data, kind, limits)
        else:
            raise MediaModalityError("The file is sound: send a video clip.")
        for frame in timed_frames:
            limits.check_frames(len(frames) + 1)
            frames.append(fit_frame(frame.image, size, channels, fit))
            starts.append(frame.start)
            duration = frame.duration
    except (MediaError, MemoryError):
        raise
    except Exception as error:  # hostile bytes make decoders raise anything
        raise UndecodableMediaError("The file is damaged: export the clip again, best as H.264 in MP4.") from error
    if not frames:
        raise UndecodableMediaError("The file holds no frame: export the clip again, best as H.264 in MP4.")
    order, fps = even(starts, duration)
    return VideoClip(np.stack([frames[index] for index in order]), fps)
