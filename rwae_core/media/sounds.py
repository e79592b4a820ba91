"""Samples of files that hold sound, decoded by FFmpeg: by the decoders named here, which start no thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from rwae_core.media.clip import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from rwae_core.media.containers import open_container
from rwae_core.media.errors import MediaModalityError, MediaTooLargeError, UndecodableMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.resample import Resampler
from rwae_core.media.sniff import ContainerKind, SoundKind

DECODERS = (
    *("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_s16be", "pcm_s24be"),
    *("pcm_alaw", "pcm_mulaw", "flac", "alac", "mp3float", "aac", "vorbis", "opus"),
)
MAX_VORBIS_BLOCK = 8192
"""Samples."""


def sound_samples(
    data: bytes, kind: ContainerKind | SoundKind, sample_rate: int, limits: MediaLimits
) -> NDArray[np.float32]:
    """The first stream of sound as (N,): the mean of its channels at another rate, as loud as the file has it.

    What an encoder put before and after the sound is left out as far as the file tells.

    Raises:
        UndecodableMediaError: the file is cut off, its sound is encoded in an unlisted way, changes its rate or its
            channels, is of a rate out of bounds, holds NaN or infinity or not a single sample, or there is no stream.
        MediaTooLargeError: more channels or seconds than allowed.
        MediaModalityError: pictures alone.
        av.FFmpegError: the file is damaged.
    """
    with open_container(data, kind) as container:
        stream = _sound(container)
        resampler: Resampler | None = None
        shape, count, rate = None, 0, 1
        for frame in _frames(container, stream):
            if resampler is None:
                _check_shape(frame)
                shape, rate = _shape(frame), frame.sample_rate
                resampler = Resampler(frame, sample_rate)
            elif _shape(frame) != shape:
                raise UndecodableMediaError(
                    "The sound changes its rate or its channels midway: export it again, best as 16-bit WAV."
                )
            limits.check_seconds(count / rate)  # of what came, whatever the file announces
            count += frame.samples
            resampler.push(frame)
        count = _told(stream, count)
    limits.check_seconds(count / rate)
    samples = np.zeros(0, np.float32) if resampler is None else resampler.finish(count)
    if not len(samples):
        raise UndecodableMediaError("The file holds no sample of sound: send a longer clip.")
    if not np.isfinite(samples).all():
        raise UndecodableMediaError(
            "The sound holds samples that are no finite numbers: export it again, best as 16-bit WAV."
        )
    return samples


def _sound(container: InputContainer) -> AudioStream:
    if container.streams.audio:
        return container.streams.audio[0]
    if container.streams.video:
        raise MediaModalityError("The file holds pictures and no sound: send an audio clip.")
    raise UndecodableMediaError("The file holds no sound: export the clip again, best as 16-bit WAV.")


def _shape(frame: AudioFrame) -> tuple[int, str, str]:
    return frame.sample_rate, frame.layout.name, frame.format.name


def _check_shape(frame: AudioFrame) -> None:
    if frame.layout.nb_channels > MAX_CHANNELS:
        raise MediaTooLargeError(
            f"The sound has {frame.layout.nb_channels} channels, but {MAX_CHANNELS} are allowed: mix it down."
        )
    if not MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE:
        raise UndecodableMediaError(
            f"The sound has {frame.sample_rate:,} samples per second, but {MIN_SAMPLE_RATE:,} to {MAX_SAMPLE_RATE:,} "
            "can be read: resample it."
        )


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    decoder: AudioCodecContext | None = stream.codec_context
    if decoder is None or decoder.codec.name not in DECODERS:
        raise UndecodableMediaError("The sound is encoded in an unsupported way: export it as 16-bit WAV.")
    decoder.thread_count = 1
    for packet in container.demux(stream):
        if _is_ogg_vorbis(stream) and packet.size:
            # A copy without FFmpeg's word of where to stop, which is wrong for files of a single page.
            yield from decoder.decode(Packet(bytes(packet)))
        else:
            yield from decoder.decode(packet)


def _is_ogg_vorbis(stream: AudioStream) -> bool:
    return stream.container.format.name == "ogg" and stream.codec_context.codec.name == "vorbis"


def _told(stream: AudioStream, count: int) -> int:
    """How many of the samples decoded are the sound.

    Raises:
        UndecodableMediaError: the file announces more.
    """
    told = count if stream.duration is None else stream.duration
    if stream.container.format.name == "flac" and count < told:
        raise UndecodableMediaError("The file is cut off: send the whole of it.")
    # Vorbis ends within a block. Where more is missing, sounds follow each other, and the last alone is told.
    return told if _is_ogg_vorbis(stream) and 0 <= count - told < MAX_VORBIS_BLOCK else count
