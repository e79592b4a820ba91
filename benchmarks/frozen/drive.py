"""Drives the training loop of whichever release `training` is imported from, for so many iterations, and times each.

`benchmarks.training` starts it with that release in PYTHONPATH. Prints the seconds of each iteration as JSON.

    python drive.py <float32|bfloat16> <iterations> <arguments of training.train>
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from training import preset, train

precision, count, *arguments = sys.argv[1:]
moments: list[float] = []


class Done(Exception):  # noqa: N818 (nothing is wrong)
    """All that was asked for has been driven."""


class Clock:
    """Stands where the loop has its progress bar."""

    def __init__(self, left: Iterable[int], **_: Any) -> None:
        self.left = left

    def __iter__(self) -> Iterator[int]:
        for number in self.left:
            moments.append(time.perf_counter())
            if number == int(count):
                raise Done
            yield number

    def __getattr__(self, name: str) -> Any:
        return lambda *_args, **_kwargs: None


def load(name: str) -> Any:
    """The preset in the precision that is asked for."""
    return whole(name).model_copy(update={"bfloat16": precision == "bfloat16"})


whole, preset.load = preset.load, load
train.tqdm = Clock  # type: ignore[attr-defined]
train.LOG_EVERY, train.WATCH_EVERY, train.CHECKPOINT_EVERY = 10**9, 10**9, 10**9
try:
    code = train.main(arguments)
except Done:
    code = 0
if os.environ.get("RANK", "0") == "0":
    print(json.dumps([after - before for before, after in pairwise(moments)]), flush=True)
sys.exit(code)
