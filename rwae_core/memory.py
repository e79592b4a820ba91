"""Memory that is freed and taken again at every step."""

from __future__ import annotations

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # of malloc.h


def keep_freed_memory() -> None:
    """Stops glibc from giving large blocks back to the system after each use; to be called before any thread starts.

    Every step of training and every pass of serving frees and takes again the same activations: mapping them anew took
    30% of the time of training and a fifth of that of a request. One arena, because those of further threads give back
    whatever the thresholds say.
    """
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        for option in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            libc.mallopt(option, 2**31 - 1)
        libc.mallopt(M_ARENA_MAX, 1)


def return_freed_memory() -> None:
    """Gives all memory that is not in use back to the system, holes between blocks too.

    Kept memory grows with every new mixture of sizes; a process that lives long has to do this now and then. What is
    taken again afterwards costs a page fault each 4 KiB, once.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
