"""What a file may cost."""

from __future__ import annotations

from dataclasses import dataclass

from rwae_core.media.errors import MediaTooLargeError, UndecodableMediaError


@dataclass(frozen=True)
class MediaLimits:
    """Bounds on one file.

    Attributes:
        max_bytes: of the file as sent.
        max_frames: of the clip, as stored and as returned.
        max_pixels: of one frame, before it is fitted.
        max_seconds: of sound.
        timeout_s: seconds, of the clock and of the processor, that decoding may take.
        memory_mb: MiB that decoding may take beyond what an idle decoding process has.
    """

    max_bytes: int = 32 * 2**20
    max_frames: int = 512
    max_pixels: int = 4_194_304
    max_seconds: float = 60.0
    timeout_s: float = 20.0
    memory_mb: int = 1024

    def check_bytes(self, count: int) -> None:
        """Raises MediaTooLargeError for a file of too many bytes."""
        if count > self.max_bytes:
            raise MediaTooLargeError(
                f"The file has {count:,} bytes, but {self.max_bytes:,} are allowed: send a shorter or smaller clip."
            )

    def check_pixels(self, width: int, height: int) -> None:
        """Raises MediaTooLargeError for a frame of too many pixels, UndecodableMediaError for one of none."""
        if width * height > self.max_pixels:
            raise MediaTooLargeError(
                f"The frames have {width}×{height} pixels, but {self.max_pixels:,} in all are allowed: "
                "scale the clip down."
            )
        if width <= 0 or height <= 0:
            raise UndecodableMediaError("The file says that its frames have no pixels: export the clip again.")

    def check_frames(self, count: int) -> None:
        """Raises MediaTooLargeError for a clip of too many frames."""
        if count > self.max_frames:
            raise MediaTooLargeError(
                f"The clip has more than the {self.max_frames} frames that are allowed: "
                "send a shorter part of it, or one of fewer frames per second."
            )

    def check_seconds(self, seconds: float) -> None:
        """Raises MediaTooLargeError for too much sound."""
        if seconds > self.max_seconds:
            raise MediaTooLargeError(
                f"The clip has more than the {self.max_seconds:g} s of sound that are allowed: "
                "send a shorter part of it."
            )
