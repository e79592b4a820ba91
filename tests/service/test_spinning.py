"""Threads that wait for the next part of a pass give their core back soon after its last one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from service.cpus import available_cpus

SPUN = """
import json, os, time
import service, torch
torch.set_num_threads(2)
numbers, spun = torch.rand(512, 512), 0.0
for _ in range(10):
    numbers @ numbers
    numbers.exp()
    before = time.process_time()
    time.sleep(0.05)
    spun += time.process_time() - before
print(json.dumps([spun, os.environ.get("GOMP_SPINCOUNT")]))
"""


def spun(**told: str) -> tuple[float, str | None]:
    """Seconds that a process spins after some passes, and the turns that it was told to wait for."""
    unset = {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "OMP_NUM_THREADS"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    answer = subprocess.run(
        [sys.executable, "-c", SPUN], env={**environment, **told}, stdout=subprocess.PIPE, check=True
    )
    seconds, count = json.loads(answer.stdout)
    return seconds, count


@pytest.mark.skipif(
    available_cpus() < 2 or sys.platform != "linux", reason="GNU's OpenMP spins only where CPUs are left"
)
def test_threads_do_not_spin_long_after_a_pass():
    ours, _ = spun()
    usual, _ = spun(GOMP_SPINCOUNT="300000")
    assert ours < usual / 2


def test_what_the_environment_says_stays():
    assert spun(GOMP_SPINCOUNT="7")[1] == "7"
    assert spun(OMP_WAIT_POLICY="passive")[1] is None
