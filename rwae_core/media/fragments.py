"""Films that are sent while they are made: fragmented MP4, which ends when it is told to.

Shapes: T frames of H×W pixels in C channels (1: luma, 3: RGB), uint8.
"""

from __future__ import annotations

from fractions import Fraction

from rwae_core.media.film_writer import H264, FilmWriter, Frames

MOVFLAGS = "frag_keyframe+empty_moov+default_base_moof"
"""A head without pictures first; then, ahead of each key frame and the pictures after it, what is said of them."""


class Fragments:
    """A film in H.264, as `encode_video` makes it, that grows part by part and keeps nothing of what it has given.

    Each part begins with a key frame, and comes out when the next one begins.

    Args:
        fps: frames per second, from MIN_FPS to MAX_FPS.
        scale: enlarges by whole pixels.
    """

    def __init__(self, fps: float, scale: int = 1) -> None:
        self._outgoing = _Outgoing()
        self._writer = FilmWriter(
            self._outgoing,
            Fraction(fps).limit_denominator(1001),
            scale,
            muxer="mp4",
            muxer_options={"movflags": MOVFLAGS},
            codec="libx264",
            codec_options={**H264, "forced-idr": "1", "sc_threshold": "0"},  # key frames where they are asked for
        )

    @property
    def media_type(self) -> str:
        """With the codec (RFC 6381), as players that are fed parts want to know it; known from the first part on."""
        head = self._writer.codec_head
        profile = head[head.index(b"\0\0\1\x67") + 4 :][:3]  # of the sequence parameter set
        return f'video/mp4; codecs="avc1.{profile.hex()}"'

    def add(self, frames: Frames) -> bytes:
        """Takes the next part (T, H, W, C); returns the one before, or with the first the head."""
        self._writer.add(frames, key=True)
        return self._outgoing.taken()

    def end(self) -> bytes:
        """The last part, after which the film is over."""
        self._writer.end()
        return self._outgoing.taken()


class _Outgoing:
    """What the muxer has written and nobody has taken; it cannot go back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
