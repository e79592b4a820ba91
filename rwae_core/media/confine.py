"""What a decoding process gives up before it sees the first file.

It gets no private folder to work in, which could be filled up, and read by the next file: it can open no file at all,
in no place, and needs none, as files come and clips go over the socket that it holds already.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import sys
import warnings
from pathlib import Path

from PIL import Image

from rwae_core.media.limits import MediaLimits
from rwae_core.media.seccomp import forbid_calls

_SET_PARENT_DEATH_SIGNAL = 1


def die_with_parent() -> None:
    """Has the system kill this process as soon as the thread that started it is gone, on Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def confine(limits: MediaLimits) -> None:
    """Gives up, for good, what decoding does not need; from here on nothing can be imported.

    Memory, files, their size and core dumps are bounded by the system's limits everywhere; on Linux, where the kernel
    filters system calls (`forbid_calls`), nothing else that reaches beyond the process is possible either.
    """
    Image.preinit()
    Image.MAX_IMAGE_PIXELS = limits.max_pixels  # ours come first; Pillow's are checked in more places
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    os.dup2(1, 2)  # what libraries say of a file goes to no log
    if sys.platform == "linux":
        # What is mapped before the first file came, mostly code, is not the file's.
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        lower(resource.RLIMIT_AS, mapped + limits.memory_mb * 2**20)
    lower(resource.RLIMIT_CORE, 0)
    lower(resource.RLIMIT_FSIZE, 0)
    lower(resource.RLIMIT_NPROC, 0)  # no further process or thread, unless we are root
    lower(resource.RLIMIT_NOFILE, 0)  # what is open stays open
    forbid_calls()


def lower(bound: int, value: int) -> None:
    """Lowers a bound of the process for good."""
    hard = resource.getrlimit(bound)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(bound, (value, value))


def allow_processor_time(seconds: float) -> None:
    """Lets the system kill the process when it computes so much longer, in case nobody is left to do so."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    limit = math.ceil(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))
