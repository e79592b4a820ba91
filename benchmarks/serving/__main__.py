"""Measures the service under load: `python -m benchmarks.serving throughput`, `latency`, `overload`, `soak`.

Each prints Markdown, ends with its verdicts, writes `benchmarks/results/serving-<name>.json`, and exits with 1 where a
bound does not hold. Run it on a machine that has nothing else to do; it says so where that is not the case.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from benchmarks.machine import machine, write
from benchmarks.serving import latency, overload, soak, throughput
from benchmarks.serving.verdict import Verdict, table

BUSY = 0.3
"""Load average from which figures are not to be trusted."""
SECONDS = {"throughput": 8.0, "latency": 60.0, "overload": 180.0, "soak": 600.0}
ROUNDS = 5


def main(arguments: list[str] | None = None) -> int:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=SECONDS)
    parser.add_argument("--seconds", type=float, help=f"how long each measurement takes (default: {SECONDS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of throughput (default: %(default)s)")
    given = parser.parse_args(arguments)
    seconds = given.seconds or SECONDS[given.what]
    torch.set_num_threads(1)
    described = {**machine(torch.device("cpu")), "load_average_before": round(os.getloadavg()[0], 2)}
    print(f"{described['device']}, server on one core, load on another, torch {described['torch']}\n", flush=True)
    if described["load_average_before"] > BUSY:
        print(f"This machine is busy (load {described['load_average_before']}): do not trust what follows.\n")
    measure: dict[str, Callable[[], tuple[dict[str, Any], list[Verdict]]]] = {
        "throughput": lambda: throughput.run(given.rounds, seconds, _say),
        "latency": lambda: latency.run(seconds, _say),
        "overload": lambda: overload.run(seconds, _say),
        "soak": lambda: soak.run(seconds, _say),
    }
    figures, verdicts = measure[given.what]()
    write(
        f"serving-{given.what}",
        {"machine": described, "figures": figures, "verdicts": [asdict(verdict) for verdict in verdicts]},
    )
    print(f"\n{table(verdicts)}")
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _say(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers end, too, the paused ones above all
    sys.exit(main())
