"""What a second replica on Ray Serve brings: `python -m benchmarks.cluster`; needs the extras `bench` and `cluster`.

Replicas of one CPU and one torch thread each answer `/generate` of 100 frames, 4 clients ask as soon as they are
answered. Proxy and clients run on the same cores. Beside it stands the service alone, without Ray, on one thread.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import socket
import statistics
import sys
import time
from collections.abc import Callable, Iterator

import psutil
import ray
import torch
from ray import serve
from ray.serve.deployment import Application

from benchmarks.machine import machine, write
from benchmarks.serving import hosts
from benchmarks.serving.connection import Asked, post_json
from benchmarks.serving.load import closed
from benchmarks.serving.works import MODEL, WEIGHTS
from service import cluster

FRAMES = 100
CLIENTS = 4
"""Fewer than a replica turns away: what is asked here is long, and its queue is bounded in frames, too."""
WARM_UP_S = 4.0
WANTED = 1.3
"""Rate of two replicas, of that of one: on two cores, which proxy and clients share."""


def main() -> None:
    """Measures, prints and writes; exits with 1 where two replicas bring less than they should."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=12.0, help="of each measurement")
    options = parser.parse_args()
    rates: dict[str, list[float]] = {"alone": [], "1 replica": [], "2 replicas": []}
    shares: dict[str, list[float]] = {name: [] for name in rates}
    with _ray() as (port, scaled_to):
        for _ in range(options.rounds):
            for replicas, name in ((1, "1 replica"), (2, "2 replicas")):
                scaled_to(replicas)
                _measure(name, port, options.seconds, rates, shares)
    with hosts.ours(RWAE_THREADS="1") as alone:
        for _ in range(options.rounds):
            _measure("alone", alone.port, options.seconds, rates, shares)
    ratio = statistics.median(two / one for one, two in zip(rates["1 replica"], rates["2 replicas"], strict=True))
    path = write(
        "cluster",
        {
            "machine": {**machine(torch.device("cpu")), "threads": 1, "ray": ray.__version__},
            "figures": {
                "frames": FRAMES,
                "clients": CLIENTS,
                "seconds": options.seconds,
                "requests_per_s": {name: [round(rate, 2) for rate in each] for name, each in rates.items()},
                "cores_busy": {name: [round(share, 2) for share in each] for name, each in shares.items()},
                "two_of_one": round(ratio, 2),
            },
        },
    )
    print(f"two replicas: {ratio:.2f} × one (wanted: {WANTED}); written to {path}")
    sys.exit(ratio < WANTED)


def _measure(
    name: str, port: int, seconds: float, rates: dict[str, list[float]], shares: dict[str, list[float]]
) -> None:
    psutil.cpu_percent()
    load = asyncio.run(closed(port, _asked(), CLIENTS, WARM_UP_S + seconds))
    if set(load.statuses) != {200}:
        raise RuntimeError(f"{name}: not all answers are 200 but {load.statuses}")
    rates[name].append(load.rate(WARM_UP_S, WARM_UP_S + seconds))
    shares[name].append(psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1))
    print(f"{name}: {rates[name][-1]:.2f} requests a second, {shares[name][-1]:.2f} cores busy", flush=True)


def _asked() -> list[Asked]:
    return [post_json("/generate", model=MODEL, frames=FRAMES, seed=seed) for seed in range(CLIENTS)]


def _application(replicas: int) -> Application:
    return cluster.build(cluster.Size(replicas=replicas))


@contextlib.contextmanager
def _ray() -> Iterator[tuple[int, Callable[[int], None]]]:
    """A cluster of this host: the proxy's port, and what scales it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    os.environ |= {"RWAE_WEIGHTS_DIR": str(WEIGHTS), "RWAE_DEVICE": "cpu"}
    _application(1)  # tells the proxies, which inherit what is told before they start
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level="warning")
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})

        def scaled_to(replicas: int) -> None:
            serve.run(_application(replicas))
            time.sleep(2)  # one that leaves is still ending

        yield port, scaled_to
    finally:
        serve.shutdown()
        ray.shutdown()


if __name__ == "__main__":
    main()
