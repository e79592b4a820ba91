"""Bytes to clips, in this process; `MediaPool` is for bytes that are not one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from rwae_core.media.animations import animation_frames
from rwae_core.media.clip import AudioClip, VideoClip
from rwae_core.media.containers import open_container
from rwae_core.media.errors import MediaError, MediaModalityError, UndecodableMediaError
from rwae_core.media.films import film_frames, pictures
from rwae_core.media.fit import Fit, fit_frame
from rwae_core.media.limits import MediaLimits
from rwae_core.media.sniff import Modality, sniff
from rwae_core.media.sounds import sound_samples
from rwae_core.media.timing import even
from rwae_core.media.wanted import Wanted

VIDEO, SOUND = "H.264 in MP4", "16-bit WAV"
"""What is best sent."""


def decode(data: bytes, wanted: Wanted, limits: MediaLimits) -> VideoClip | AudioClip:
    """Decodes a file as what it is, or as what is wanted of it.

    Raises:
        MediaModalityError: it is what nothing is wanted of.
        MediaError, MemoryError: as for `decode_video` or `decode_audio`. What is raised once it is told what the file
            is, has that as its `modality`.
    """
    found = wanted.read_as or _modality(data, limits, SOUND if wanted.video is None else VIDEO)
    try:
        if found == "video" and wanted.video is not None:
            return decode_video(data, limits=limits, **asdict(wanted.video))
        if found == "audio" and wanted.audio is not None:
            return decode_audio(data, limits=limits, **asdict(wanted.audio))
        raise MediaModalityError(f"The file is {found}: send a clip of the other kind.")
    except MediaError as error:
        error.modality = found
        raise


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
    with _whatever_is_raised(VIDEO):
        limits.check_bytes(len(data))
        kind = sniff(data)
        if kind in ("mp4", "webm"):
            timed_frames = film_frames(data, kind, limits)
        elif kind in ("gif", "webp", "apng"):
            timed_frames = animation_frames(data, kind, limits)
        else:
            raise MediaModalityError("The file is sound: send a video clip.")
        for frame in timed_frames:
            limits.check_frames(len(frames) + 1)
            frames.append(fit_frame(frame.image, size, channels, fit))
            starts.append(frame.start)
            duration = frame.duration
    if not frames:
        raise UndecodableMediaError("The file holds no frame: export the clip again, best as H.264 in MP4.")
    order, fps = even(starts, duration)
    return VideoClip(np.stack([frames[index] for index in order]), fps)


def decode_audio(data: bytes, *, sample_rate: int, limits: MediaLimits) -> AudioClip:
    """Decodes sound: mixed to the mean of its channels, resampled, and clipped to -1 and 1.

    Of a file with pictures and sound it takes the sound. Memory holds one frame of the file's rate and channels at a
    time.

    Args:
        data: the file's bytes, which alone decide its kind.
        sample_rate: samples per second of the returned clip.
        limits: bounds, of which `timeout_s` and `memory_mb` are for `MediaPool` to hold.

    Returns:
        round(n × sample_rate / rate) samples for the n of the file, the first at the same moment as the file's.

    Raises:
        UnsupportedMediaError: not a clip of a kind on the list.
        UndecodableMediaError: empty, cut off, damaged, without a sample, or with samples that are no finite numbers.
        MediaTooLargeError: more bytes, channels or seconds than allowed.
        MediaModalityError: pictures alone.
        MemoryError: the process may not have the memory that decoding needs.
    """
    with _whatever_is_raised(SOUND):
        limits.check_bytes(len(data))
        kind = sniff(data)
        if kind not in ("mp4", "webm", "wav", "flac", "ogg", "mp3"):
            raise MediaModalityError("The file holds pictures and no sound: send an audio clip.")
        return AudioClip(sound_samples(data, kind, sample_rate, limits).clip(-1, 1), sample_rate)


def _modality(data: bytes, limits: MediaLimits, best: str) -> Modality:
    """Whether a file is video or sound; no decoder sees it. A film with sound is video.

    Raises:
        UnsupportedMediaError, UndecodableMediaError, MediaTooLargeError: as far as that shows by now.
    """
    with _whatever_is_raised(best):
        limits.check_bytes(len(data))
        kind = sniff(data)
        if kind in ("mp4", "webm"):
            with open_container(data, kind) as container:
                return "video" if pictures(container) else "audio"
        return "video" if kind in ("gif", "webp", "apng") else "audio"


@contextmanager
def _whatever_is_raised(best: str) -> Iterator[None]:
    """Blames the file for it, and says what is best sent instead: hostile bytes make decoders raise anything."""
    try:
        yield
    except (MediaError, MemoryError):
        raise
    except Exception as error:
        raise UndecodableMediaError(f"The file is damaged: export the clip again, best as {best}.") from error
