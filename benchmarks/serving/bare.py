"""The same works without HTTP: decoded, batched by the engine, and said as the service says them.

`python -m benchmarks.serving.bare <verb> <folder>` reads lines, seconds and seconds of warm-up, and answers each with
the rate and the number of works done. The folder holds the clips.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from benchmarks.serving import load, works
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.memory import keep_freed_memory
from service.app import CPU_BATCH_FRAMES
from service.engine import Engine
from service.settings import Settings
from service.verbs.video import Encode, Generate
from service.weights_folder import load_library

IN_FLIGHT = 64


class Bare:
    """Engine, decoding processes and threads as the service has them."""

    def __init__(self, clips: Sequence[bytes]) -> None:
        settings, cpu = Settings(weights_dir=works.WEIGHTS), torch.device("cpu")
        torch.set_num_threads(settings.threads)
        self._clips = clips
        self._pool = MediaPool(settings.decode_workers, MediaLimits())
        self._engine = Engine(
            load_library(settings.weights_dir, [cpu]),
            [cpu],
            max_batch_frames=CPU_BATCH_FRAMES,
            queue_size=settings.queue_size,
        )
        self._model = self._engine.library.find(works.MODEL)
        self._decoders = ThreadPoolExecutor(settings.decode_workers)
        self._encoders = ThreadPoolExecutor(settings.threads)

    def rate(self, verb: works.Verb, seconds: float, warm_up: float) -> tuple[float, int]:
        """Works a second with 64 in flight, from `warm_up` seconds after the beginning; and how many were done."""
        start = time.monotonic()
        running, moments = IN_FLIGHT, list[float]()
        fault: BaseException | None = None
        changed = threading.Condition()
        begin = {"encode": self._encode, "generate": self._generate}[verb]

        def end(number: int, rendered: Future[str]) -> None:
            nonlocal running, fault
            now = time.monotonic() - start
            with changed:
                fault = fault or rendered.exception()
                moments.append(now)
                if now < warm_up + seconds and fault is None:
                    self._decoders.submit(begin, number + IN_FLIGHT, end)
                else:
                    running -= 1
                    changed.notify()

        for number in range(IN_FLIGHT):
            self._decoders.submit(begin, number, end)
        with changed:
            changed.wait_for(lambda: not running)
        if fault is not None:
            raise fault
        return load.rate(moments, warm_up, warm_up + seconds), len(moments)

    def _encode(self, number: int, end: Callable[[int, Future[str]], None]) -> None:
        clip = works.read(self._pool, self._clips[number % len(self._clips)])
        self._engine.submit(self._model, Encode(clip.frames)).add_done_callback(
            lambda done: self._say(number, end, lambda: works.encoding(clip, done.result().value))
        )

    def _generate(self, number: int, end: Callable[[int, Future[str]], None]) -> None:
        seed = number % len(self._clips)
        self._engine.submit(self._model, Generate(1, works.FRAMES, seed)).add_done_callback(
            lambda done: self._say(number, end, lambda: works.items(seed, done.result().value))
        )

    def _say(self, number: int, end: Callable[[int, Future[str]], None], render: Callable[[], str]) -> None:
        self._encoders.submit(render).add_done_callback(lambda rendered: end(number, rendered))

    def close(self) -> None:
        """Ends processes and threads."""
        self._engine.close()
        self._pool.close()


def main(verb: Any, folder: str) -> None:
    """Measures as often as it is asked."""
    keep_freed_memory()  # as the service does
    bare = Bare([path.read_bytes() for path in sorted(Path(folder).iterdir())])
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, warm_up = map(float, line.split())
        print(*bare.rate(verb, seconds, warm_up), flush=True)
    bare.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
