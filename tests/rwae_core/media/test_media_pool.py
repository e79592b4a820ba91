"""Workers that crash, hang or grow take nobody with them; and what they may not do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from mediafiles import animation, black_apng, film, is_worker, moving, pixel_art, worker_pids

from rwae_core.media.errors import MediaError, MediaTimeoutError, MediaTooLargeError, UndecodableMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool

SLOW = black_apng(2048, 512)  # half a minute
FRAMES = pixel_art(4)
CLIP = animation(FRAMES, "PNG")


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def computed(pid: int) -> int:
    """Hundredths of a second that a process has computed."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def wait_for_work(pids: list[int]) -> int:
    """The first of some idle workers that decodes."""
    before = {pid: computed(pid) for pid in pids}
    wait_for(lambda: any(computed(pid) > before[pid] + 5 for pid in pids), 20)
    return max(pids, key=lambda pid: computed(pid) - before[pid])


def own_workers(before: list[int]) -> list[int]:
    return [pid for pid in worker_pids() if pid not in before]


@pytest.fixture
def elsewhere() -> list[int]:
    """Workers of other pools."""
    return worker_pids()


def assert_decodes(pool: MediaPool) -> None:
    np.testing.assert_array_equal(pool.decode_video(CLIP, size=64, channels=3, fit="crop").frames, FRAMES)


def decode_slowly(pool: MediaPool) -> None:
    pool.decode_video(SLOW, size=64, channels=3, fit="crop")


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_fails_its_own_request_alone(elsewhere: list[int], blow: signal.Signals) -> None:
    with MediaPool(2, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        pids = own_workers(elsewhere)
        assert len(pids) == 2
        doomed = threads.submit(decode_slowly, pool)
        victim = wait_for_work(pids)
        assert_decodes(pool)  # the other worker is free
        os.kill(victim, blow)
        with pytest.raises(UndecodableMediaError):
            doomed.result(20)
        assert_decodes(pool)
        assert len(own_workers(elsewhere)) == 2
        assert victim not in own_workers(elsewhere)


def test_a_worker_killed_while_idle_is_replaced(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits()) as pool:
        (pid,) = own_workers(elsewhere)
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: ") Z " in Path(f"/proc/{pid}/stat").read_text(), 20)  # dead, and not yet buried
        assert_decodes(pool)


def test_time_is_bounded(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits(timeout_s=0.3)) as pool:
        (pid,) = own_workers(elsewhere)
        start = time.monotonic()
        with pytest.raises(MediaTimeoutError):
            decode_slowly(pool)
        assert 0.3 <= time.monotonic() - start < 3
        assert not Path(f"/proc/{pid}").exists()
        assert_decodes(pool)


def test_a_worker_that_hangs_is_killed(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits(timeout_s=0.3)) as pool:
        (pid,) = own_workers(elsewhere)
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(MediaTimeoutError):
            pool.decode_video(SLOW * 4, size=64, channels=3, fit="crop")  # more than fits into the pipe
        assert not Path(f"/proc/{pid}").exists()
        assert_decodes(pool)


def test_the_caller_may_wait_less(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        (pid,) = own_workers(elsewhere)
        slow = threads.submit(pool.decode_video, SLOW, size=64, channels=3, fit="crop", timeout=2.0)
        wait_for_work([pid])
        start = time.monotonic()
        with pytest.raises(MediaTimeoutError, match="free"):
            pool.decode_video(CLIP, size=64, channels=3, fit="crop", timeout=0.1)
        assert time.monotonic() - start < 1
        assert own_workers(elsewhere) == [pid]  # waiting in vain harms nobody
        with pytest.raises(MediaTimeoutError):
            slow.result(20)
        assert_decodes(pool)


def test_memory_is_bounded(elsewhere: list[int]) -> None:
    large = black_apng(2048, 2)
    with MediaPool(1, MediaLimits(memory_mb=16)) as pool:
        with pytest.raises(MediaTooLargeError, match="memory"):
            pool.decode_video(large, size=64, channels=3, fit="crop")
        with pytest.raises(MediaError):
            pool.decode_video(film(moving(2, 2000, 2000)), size=64, channels=3, fit="crop")
        assert_decodes(pool)
    with MediaPool(1, MediaLimits(memory_mb=128)) as pool:
        assert len(pool.decode_video(large, size=64, channels=3, fit="crop").frames) == 2


def test_memory_does_not_add_up(elsewhere: list[int]) -> None:
    large = film(np.zeros((12, 2048, 2048, 3), np.uint8), pixels="yuv420p")  # 70 MiB while it is decoded
    with MediaPool(1, MediaLimits(memory_mb=256)) as pool:
        (pid,) = own_workers(elsewhere)
        for _ in range(6):
            pool.decode_video(large, size=64, channels=3, fit="crop")
        assert own_workers(elsewhere) == [pid]


def test_many_threads_share_few_workers() -> None:
    clips = [animation(pixel_art(2, 16, 16, colours=2 + seed), "PNG") for seed in range(24)]
    with MediaPool(2, MediaLimits()) as pool, ThreadPoolExecutor(12) as threads:
        results = list(threads.map(lambda data: pool.decode_video(data, size=16, channels=3, fit="crop"), clips))
    for seed, clip in enumerate(results):
        np.testing.assert_array_equal(clip.frames, pixel_art(2, 16, 16, colours=2 + seed))


def test_decoding_starts_no_thread(elsewhere: list[int]) -> None:
    frames = np.repeat(moving(2, 512, 512), 8, axis=0)
    quiet = {"x265-params": "log-level=none"}
    films = [
        film(frames, pixels="yuv420p"),
        film(frames, codec="libx265", pixels="yuv420p", options=quiet | {"preset": "ultrafast"}),
        film(frames, muxer="webm", codec="libvpx-vp9", pixels="yuv420p", options={"deadline": "realtime"}),
    ]
    with MediaPool(1, MediaLimits()) as pool:
        (pid,) = own_workers(elsewhere)
        threads = {1}
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                threads.add(len(list(Path(f"/proc/{pid}/task").iterdir())))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for data in films:
                pool.decode_video(data, size=64, channels=3, fit="crop")
        finally:
            done.set()
            watcher.join()
    assert threads == {1}


@pytest.fixture
def worker(elsewhere: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The /proc entry of a worker of a process that holds secrets and a socket which children inherit."""
    monkeypatch.setenv("RWAE_API_KEYS", "hunter2")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.set_inheritable(True)
        with MediaPool(1, MediaLimits(timeout_s=7)) as pool:
            assert_decodes(pool)
            (pid,) = own_workers(elsewhere)
            yield Path(f"/proc/{pid}")


def test_workers_inherit_nothing(worker: Path) -> None:
    assert sorted(os.listdir(worker / "fd")) == ["0", "1", "2"]
    assert os.readlink(worker / "fd" / "1") == os.devnull
    assert b"hunter2" not in (worker / "environ").read_bytes()
    assert os.getsid(int(worker.name)) != os.getsid(0)  # the terminal's interrupt is not for it


def test_workers_are_bounded(worker: Path) -> None:
    bounds = {line[:26].strip(): line[26:].split()[:2] for line in (worker / "limits").read_text().splitlines()[1:]}
    assert bounds["Max open files"] == ["0", "0"]
    assert bounds["Max file size"] == ["0", "0"]
    assert bounds["Max core file size"] == ["0", "0"]
    assert int(bounds["Max address space"][1]) < 3 * 2**30
    assert 7 <= int(bounds["Max cpu time"][0]) < 15


def test_confined_code_can_open_nothing() -> None:
    """The same bounds, with code in the place of a decoder."""
    script = """
import errno, os, socket
from rwae_core.media.limits import MediaLimits
from rwae_core.media.worker import confine
confine(MediaLimits())
attempts = [lambda: open("/dev/null"), socket.socket, os.pipe, lambda: os.dup(0), lambda: os.listdir("/")]
for attempt in attempts:
    try:
        attempt()
    except OSError as error:
        print('no file' if error.errno in (errno.EMFILE, errno.EINVAL) else error)  # EINVAL: by dup
    else:
        print("opened")
try:
    bytearray(2 * 2**30)
except MemoryError:
    print("no memory")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.split("\n")[:-1] == ["no file"] * 5 + ["no memory"]


def test_decoding_imports_neither_torch_nor_the_model() -> None:
    script = """
import sys
import rwae_core.media.worker, rwae_core.media.pool, rwae_core.media.encode
ours = {name for name in sys.modules if name.startswith("rwae_core.") and not name.startswith("rwae_core.media")}
assert ours == {"rwae_core.errors"}, ours
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=20)


def test_workers_end_with_whoever_started_them() -> None:
    """Also when that one is killed, and also when they are busy: then when their processor time is up."""
    script = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from mediafiles import black_apng, worker_pids
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
pool = MediaPool(2, MediaLimits(timeout_s=1))
slow = black_apng(2048, 512)
threading.Thread(target=lambda: pool.decode_video(slow, size=64, channels=3, fit="crop")).start()
print(*worker_pids(), flush=True)
threading.Event().wait()
"""
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        wait_for_work(pids)
        parent.kill()

    wait_for(lambda: not any(map(is_worker, pids)), 20)


def test_closing_ends_workers_and_wakes_who_waits(elsewhere: list[int]) -> None:
    pool = MediaPool(1, MediaLimits())
    with ThreadPoolExecutor() as threads:
        (pid,) = own_workers(elsewhere)
        decoding = threads.submit(decode_slowly, pool)
        wait_for_work([pid])
        waiting = threads.submit(assert_decodes, pool)
        pool.close()
        for request in (decoding, waiting):
            with pytest.raises(RuntimeError, match="closed"):
                request.result(20)
    assert own_workers(elsewhere) == []
    with pytest.raises(RuntimeError, match="closed"):
        assert_decodes(pool)
    pool.close()


def test_a_pool_that_cannot_start_says_so(monkeypatch: pytest.MonkeyPatch, elsewhere: list[int]) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="start"):
        MediaPool(2, MediaLimits())
    assert own_workers(elsewhere) == []


def test_a_pool_has_workers() -> None:
    with pytest.raises(ValueError, match="one worker"):
        MediaPool(0, MediaLimits())
