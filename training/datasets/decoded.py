"""A folder's files decoded as clips, once: fitted frames are kept on disk, and what cannot be decoded is known.

Shapes: N frames of C×H×W.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
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
LIMITS = MediaLimits(max_bytes=2**28, max_frames=7200, max_pixels=2**23, timeout_s=120, memory_mb=2048)
"""More than the service allows: a recording of one's own may last minutes, in 4K. It is trusted no more than there."""
SOUND = "The file holds sound and no pictures."

_FIT: Fit = "crop"
_VERSION = 1
"""To be raised when the same file would be decoded to other frames, so that what is kept is no longer used."""


@dataclass(frozen=True)
class Decoded:
    """A clip as a file holds it, fitted: all of its frames, and how many there are in a second."""

    frames: UInt8[Tensor, "N C H W"]
    fps: float


def decode_files(folder: Path, names: Sequence[str], frame_shape: tuple[int, ...]) -> dict[str, Decoded | str]:
    """Each file's clip, or why it has none.

    Files are decoded in processes that can be killed, on all cores, and cropped to the square in their middle. What
    came of each is kept as a file of its own under the hash of its path, size and time of change: what has not changed
    is not decoded again, what is damaged is, and what no longer belongs to a file is removed. Decoding that was
    interrupted goes on where it was. A file that was not decoded in time, or could not be read, is tried again.

    Args:
        folder: Where the files are.
        names: Their paths in it.
        frame_shape: C×H×W, H = W.

    Raises:
        DataError: what was decoded cannot be kept.
    """
    channels, size, _ = frame_shape
    kept = _cache(folder) / f"{_FIT}-{channels}x{size}x{size}"
    entries = {name: kept / f"{_key(folder, name)}.safetensors" for name in names}
    found = {name: _read(entry) for name, entry in entries.items()}

    def decode(pool: MediaPool, name: str) -> Decoded | str:
        try:
            LIMITS.check_bytes((folder / name).stat().st_size)
            clip = pool.decode_video((folder / name).read_bytes(), size=size, channels=channels, fit=_FIT)
        except OSError as error:
            return f"The file cannot be read: {error.strerror}."
        except MediaTimeoutError as error:
            return str(error)
        except MediaError as error:
            reason = SOUND if isinstance(error, MediaModalityError) else str(error)
            _write(entries[name], reason)
            return reason
        decoded = Decoded(torch.from_numpy(np.array(clip.frames.transpose(0, 3, 1, 2), order="C")), clip.fps)
        _write(entries[name], decoded)
        return decoded

    absent = [name for name in names if found[name] is None]
    if absent:
        workers = min(len(absent), os.cpu_count() or 1)
        # The pool closes first: whoever interrupts does not wait for the files at work.
        with ThreadPoolExecutor(workers) as threads, MediaPool(workers, LIMITS) as pool:
            decoded = threads.map(lambda name: decode(pool, name), absent)
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
        data = save({"frames": decoded.frames}, {"fps": repr(decoded.fps), "sha256": _sha256(decoded.frames)})
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
            decoded = Decoded(file.get_tensor("frames"), float(about["fps"]))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return None
    return decoded if about["sha256"] == _sha256(decoded.frames) else None


def _sha256(frames: Tensor) -> str:
    return hashlib.sha256(frames.numpy().data).hexdigest()
