"""What can be wrong with a file that someone sent, each said in a sentence that tells what to change."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rwae_core.errors import RwaeError

if TYPE_CHECKING:
    from rwae_core.media.sniff import Modality


class MediaError(RwaeError):
    """Base of every error that a file can cause.

    Attributes:
        modality: what the file was read as; None where that was not told before it failed.
    """

    modality: Modality | None = None


class UnsupportedMediaError(MediaError):
    """The bytes are of a kind that is not on the list, or a still image where a clip is wanted."""


class UndecodableMediaError(MediaError):
    """The kind is on the list, yet the bytes cannot be decoded: empty, cut off, damaged, no frame, no sample."""


class MediaTooLargeError(MediaError):
    """More bytes, pixels, frames, channels, seconds or memory than allowed."""


class MediaModalityError(MediaError):
    """Sound alone where pictures are wanted, or pictures alone where sound is."""


class MediaTimeoutError(MediaError):
    """Not decoded in time; the work is dropped."""
