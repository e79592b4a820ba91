"""Measures what this machine can in minutes: `make bench`, or a part of it: `python -m benchmarks ceilings growth`.

Each part prints a table beside the results that were committed last, and writes `benchmarks/results/<part>.json` and
what `benchmarks/README.md` shows of it. The exit code is 1 where a bound does not hold. Give it a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable

from benchmarks import ceilings, growth, media, presets, requests, service, speech, training
from benchmarks.machine import CPU, machine
from benchmarks.report import publish
from benchmarks.section import Section
from rwae_core.memory import keep_freed_memory

PARTS: list[tuple[str, Callable[[], Section]]] = [
    ("ceilings", ceilings.measure),
    ("presets", presets.measure),
    ("training", training.measure),
    ("requests", requests.measure),
    ("media", media.measure),
    ("growth", growth.measure),
    ("service", service.measure),
    ("speech", speech.measure),
]
ELSEWHERE = """\
what takes longer or needs more has a command of its own:
  python -m benchmarks.serving throughput, latency, overload, soak
  python -m benchmarks.cluster
  python -m benchmarks.cuda, on a GPU
  python -m benchmarks.data
"""


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints and writes; 1 where a bound does not hold."""
    names = [name for name, _ in PARTS]
    told = "\n".join(f"  {name:<10} {(measure.__doc__ or '').partition(chr(10))[0]}" for name, measure in PARTS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog=f"parts:\n{told}\n\n{ELSEWHERE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", metavar="part", help="what to measure (default: all)")
    chosen = parser.parse_args(arguments).parts or names
    if unknown := set(chosen) - set(names):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    keep_freed_memory()  # as the service and training do
    described = {**machine(CPU), "load_average_before": round(os.getloadavg()[0], 2)}
    holds = True
    for name, measure in PARTS:
        if name in chosen:
            began = time.monotonic()
            section = measure()
            print(f"## {name}\n\n{publish(name, section, described)}\n", flush=True)
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
            holds &= section.holds
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
