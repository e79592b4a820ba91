"""A folder's files decoded as clips, once: frames or samples are kept on disk, and what cannot be decoded is known.

Shapes: N frames of C×H×W, or N samples of sound.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int16, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from rwae_core.media.errors import MediaError, MediaModalityError, MediaTimeoutError
from rwae_core.media.fit import Fit
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.weights import write_atomically
from training.datasets.errors import DataError

BESIDE = ".rwae-cache"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rwae" / "clips"
"""Where frames are kept: in the folder itself or, where that cannot be written, here."""
LIMITS = MediaLimits(
    max_bytes=2**28, max_frames=7200, max_pixels=2**23, max_seconds=3600, timeout_s=120, memory_mb=2048
)
"""More than the service allows: one's own film may last minutes, in 4K, and one's own sound an hour. They are trusted
no more than there."""
SOUND = "The file holds sound and no pictures."
PICTURES = "The file holds pictures and no sound."
FULL_SCALE = 32767
"""What a sample of 1 is kept as. Its rounding is 25 dB below what a spectrum hears as silence."""

_FIT: Fit = "crop"
_VERSION = 1
"""To be raised when the same file would be decoded to other frames, so that what is kept is no longer used."""


@dataclass(frozen=True)
class Decoded:
    """A clip as a file holds it, fitted: all of its frames or samples, and how many there are in a second."""

    values: UInt8[Tensor, "N C H W"] | Int16[Tensor, " N"]
    rate: float


def decode_films(folder: Path, names: Sequence[str], frame_shape: tuple[int, ...]) -> dict[str, Decoded | str]:
    """Each file's frames, cropped to the square in their middle, or why it has none.

    Args:
        folder: Where the files are.
        names: Their paths in it.
        frame_shape: C×H×W, H = W.

    Raises:
        DataError: what was decoded cannot be kept.
    """
    channels, size, _ = frame_shape

    def decode(pool: MediaPool, data: bytes) -> Decoded:
        clip = pool.decode_video(data, size=size, channels=channels, fit=_FIT)
        return Decoded(torch.from_numpy(np.array(clip.frames.transpose(0, 3, 1, 2), order="C")), clip.fps)

    return _decode_files(folder, names, f"{_FIT}-{channels}x{size}x{size}", decode, SOUND)


def decode_sounds(folder: Path, names: Sequence[str], sample_rate: int) -> dict[str, Decoded | str]:
    """Each file's sound, the mean of its channels at one rate, as parts of `FULL_SCALE`, or why it has none.

    Args:
        folder: Where the files are. Of a film with sound, that is taken.
        names: Their paths in it.
        sample_rate: samples a second.

    Raises:
        DataError: what was decoded cannot be kept.
    """

    def decode(pool: MediaPool, data: bytes) -> Decoded:
        samples = pool.decode_audio(data, sample_rate=sample_rate).samples
        return Decoded(torch.from_numpy(np.rint(samples * FULL_SCALE).astype(np.int16)), float(sample_rate))

    return _decode_files(folder, names, f"sound-{sample_rate}", decode, PICTURES)


def _decode_files(
    folder: Path,
    names: Sequence[str],
    fitted: str,
    decode: Callable[[MediaPool, bytes], Decoded],
    other_modality: str,
) -> dict[str, Decoded | str]:
    """Each file's clip, or why it has none.

    Files are decoded in processes that can be killed, on all cores. What came of each is kept in a folder `fitted`, as
    a file of its own under the hash of its path, size and time of change: what has not changed is not decoded again,
    what is damaged is, and what no longer belongs to a file is removed. Decoding that was interrupted goes on where it
    was. A file that was not decoded in time, or could not be read, is tried again.
    """
    kept = _cache(folder) / fitted
    entries = {name: kept / f"{_key(folder, name)}.safetensors" for name in names}
    found = {name: _read(entry) for name, entry in entries.items()}

    def decoded_anew(pool: MediaPool, name: str) -> Decoded | str:
        try:
            LIMITS.check_bytes((folder / name).stat().st_size)
            decoded = decode(pool, (folder / name).read_bytes())
        except OSError as error:
            return f"The file cannot be read: {error.strerror}."
        except MediaTimeoutError as error:
            return str(error)
        except MediaError as error:
            reason = other_modality if isinstance(error, MediaModalityError) else str(error)
            _write(entries[name], reason)
            return reason
        _write(entries[name], decoded)
        return decoded

    absent = [name for name in names if found[name] is None]
    if absent:
        workers = min(len(absent), os.cpu_count() or 1)
        # The pool closes first: whoever interrupts does not wait for the files at work.
        with ThreadPoolExecutor(workers) as threads, MediaPool(workers, LIMITS) as pool:
            decoded = threads.map(lambda name: decoded_anew(pool, name), absent)
            found |= zip(absent, tqdm(decoded, "decoding", len(absent), unit="file", leave=False), strict=True)
    for path in set(kept.glob("*.safetensors")) - set(entries.values()):
        path.unlink(missing_ok=True)
    return {name: clip for name, clip in found.items() if clip is not None}


def _cache(folder: Path) -> Path:
    beside = folder / BESIDE
    try:
        beside.mkdir(exist_ok=True)
    except OSError:
        writable = False
    else:
        writable = os.access(beside, os.W_OK)
    return beside if writable else CACHE / hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]


def _key(folder: Path, name: str) -> str:
    status = (folder / name).stat()
    key = f"{_VERSION}\0{name}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.sha256(os.fsencode(key)).hexdigest()  # names need not be UTF-8


def _write(entry: Path, decoded: Decoded | str) -> None:
    if isinstance(decoded, str):
        data = save({}, {"reason": decoded})
    else:
        data = save({"values": decoded.values}, {"rate": repr(decoded.rate), "sha256": _sha256(decoded.values)})
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(entry, data)
    except OSError as error:
        raise DataError(f"decoded clips cannot be kept in {entry.parent}: {error.strerror}. Make room there") from error


def _read(entry: Path) -> Decoded | str | None:
    """What was written; None where nothing was, or it is damaged."""
    try:
        with safe_open(entry, "pt") as file:
            about = file.metadata()
            if "reason" in about:
                return str(about["reason"])
            decoded = Decoded(file.get_tensor("values"), float(about["rate"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return decoded if about["sha256"] == _sha256(decoded.values) else None


def _sha256(values: Tensor) -> str:
    return hashlib.sha256(values.numpy().data).hexdigest()
