"""What benchmarks of the service need of a machine."""

import os

import pytest

TWO_CORES = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="pins services to two cores: run it on Linux with as many",
)
