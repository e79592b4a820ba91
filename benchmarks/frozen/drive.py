"""Drives the training loop of whichever release `training` is imported from, and says when each iteration begins.

`benchmarks.training` starts it with that release in PYTHONPATH. Prints a moment of the monotonic clock, in seconds,
a line an iteration, until the run is done or it is killed.

    python drive.py <float32|bfloat16> <arguments of training.train>
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any

from training import preset, train

precision, *arguments = sys.argv[1:]
first = os.environ.get("RANK", "0") == "0"


class Clock:
    """Stands where the loop has its progress bar."""

    def __init__(self, left: Iterable[int], **_: Any) -> None:
        self.left = left

    def __iter__(self) -> Iterator[int]:
        for number in self.left:
            if first:
                print(time.perf_counter(), file=sys.__stdout__, flush=True)
            yield number

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None


def load(name: str) -> Any:
    """The preset in the precision that is asked for."""
    return whole(name).model_copy(update={"bfloat16": precision == "bfloat16"})


whole, preset.load = preset.load, load
train.tqdm = Clock  # type: ignore[attr-defined]
train.LOG_EVERY, train.WATCH_EVERY, train.CHECKPOINT_EVERY = 10**9, 10**9, 10**9
sys.stdout = sys.stderr  # what the loop says is not a moment
sys.exit(train.main(arguments))
