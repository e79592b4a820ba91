"""CPUs that are there for this process."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_cpus(root: Path = Path("/")) -> int:
    """CPUs that this process may use: its affinity, further limited by the quotas of its control groups (v1 or v2).

    A group's quota bounds all groups in it, so those above count too; a quota of half a CPU more counts as one.

    Args:
        root: Where `proc` and `sys` are.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cpus, *map(math.ceil, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """Quotas, in CPUs, of the groups that the process is in, as far as they can be seen."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        # In a container the path may be the host's, and what is seen as the top is then the group itself.
        group = PurePosixPath(*(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
        for folder in (top / group, *(top / above for above in group.parents)):
            try:
                if controllers:
                    quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
                else:
                    quota, period = (folder / "cpu.max").read_text().split()
                if int(quota) > 0:
                    yield int(quota) / int(period)
            except (OSError, ValueError):  # no such folder here, or no quota ("max")
                continue
