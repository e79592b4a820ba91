"""Which system calls a decoding process may still make: a filter of Linux's seccomp, in classic BPF.

It lists what decoding in memory needs; every other call fails with EPERM, so a decoder that meets one it would like
says so instead of dying. Bindings of libseccomp would need that library on every machine; the list is short enough
to be given to the kernel as it is.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct
import sys
from collections.abc import Sequence
from typing import NamedTuple

_NO_NEW_PRIVILEGES, _SET_SECCOMP, _FILTER = 38, 22, 2
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _MACHINE_AT, _FIRST_ARGUMENT_AT = 0, 4, 16
_ALLOW, _REFUSE, _KILL_PROCESS = 0x7FFF0000, 0x00050000 | errno.EPERM, 0x80000000


class _Machine(NamedTuple):
    """A processor: the kernel's name for its calls, the calls allowed, and `prlimit64`."""

    name: int
    calls: Sequence[int]
    prlimit: int


# In each row, in this order: memory (mmap, mprotect, munmap, brk, mremap, madvise), the open socket (read, write,
# recvfrom, sendto, close, fstat, lseek), locks (futex, sched_yield, set_robust_list, rseq, membarrier), time
# (clock_gettime, gettimeofday, nanosleep, clock_nanosleep, getrusage), signals (rt_sigaction, rt_sigprocmask,
# rt_sigreturn, sigaltstack, restart_syscall), itself (getpid, gettid, sysinfo, sched_getaffinity, getrandom, exit,
# exit_group).
_MACHINES = {
    "x86_64": _Machine(
        0xC000003E,
        (
            *(9, 10, 11, 12, 25, 28),
            *(0, 1, 45, 44, 3, 5, 8),
            *(202, 24, 273, 334, 324),
            *(228, 96, 35, 230, 98),
            *(13, 14, 15, 131, 219),
            *(39, 186, 99, 204, 318, 60, 231),
        ),
        302,
    ),
    "aarch64": _Machine(
        0xC00000B7,
        (
            *(222, 226, 215, 214, 216, 233),
            *(63, 64, 207, 206, 57, 80, 62),
            *(98, 124, 99, 293, 283),
            *(113, 169, 101, 115, 165),
            *(134, 135, 139, 132, 128),
            *(172, 178, 179, 123, 278, 93, 94),
        ),
        261,
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid_calls() -> bool:
    """Forbids this process, for good, every system call but those of decoding, and any gain of privileges.

    Neither is possible afterwards, whoever the process belongs to: opening, creating, renaming or deleting files,
    sockets, further processes and threads, programs, signals to others, and the bounds of others.

    Returns:
        Whether the kernel holds the process to it; not on other systems than Linux, on processors other than x86-64
        and ARM64, or where a sandbox around us has no filters.
    """
    machine = _MACHINES.get(platform.machine())
    if sys.platform != "linux" or machine is None:
        return False
    program = b"".join(struct.pack("=HBBI", *instruction) for instruction in _instructions(machine))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0):
        return False
    return not libc.prctl(_SET_SECCOMP, _FILTER, ctypes.byref(_Program(len(program) // 8, program)), 0, 0)


def _instructions(machine: _Machine) -> list[tuple[int, int, int, int]]:
    """(code, instructions to skip if equal, if not, operand) each."""
    allowed = [(_JUMP_IF_EQUAL, 0, 1, call) for call in machine.calls]
    return [
        (_LOAD, 0, 0, _MACHINE_AT),
        (_JUMP_IF_EQUAL, 1, 0, machine.name),
        (_RETURN, 0, 0, _KILL_PROCESS),  # the same numbers mean other calls there
        (_LOAD, 0, 0, _NUMBER_AT),
        *(line for test in allowed for line in (test, (_RETURN, 0, 0, _ALLOW))),
        (_JUMP_IF_EQUAL, 0, 3, machine.prlimit),  # its own bounds alone, of which each file moves one
        (_LOAD, 0, 0, _FIRST_ARGUMENT_AT),
        (_JUMP_IF_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE),
    ]
