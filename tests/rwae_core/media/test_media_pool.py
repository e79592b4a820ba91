"""Workers that crash, hang or grow take nobody with them; and what they may not do."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import psutil
import pytest
from mediafiles import animation, black_apng, film, is_worker, moving, pixel_art, worker_pids

from rwae_core.media import pool as pool_module
from rwae_core.media import process as process_module
from rwae_core.media.errors import MediaError, MediaTimeoutError, MediaTooLargeError, UndecodableMediaError
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
from rwae_core.media.process import DecodingProcess, LostError, Question
from rwae_core.media.wanted import Pictures, Wanted
from rwae_core.media.wire import Patience

SLOW = black_apng(2048, 512)  # half a minute
FRAMES = pixel_art(4)
CLIP = animation(FRAMES, "PNG")


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def computed(pid: int) -> float:
    """Seconds that a process has computed; of one that has gone, none."""
    try:
        return psutil.Process(pid).cpu_times().user
    except psutil.NoSuchProcess:
        return 0.0


def wait_for_work(pids: list[int]) -> int:
    """The first of some idle workers that decodes."""
    before = {pid: computed(pid) for pid in pids}
    wait_for(lambda: any(computed(pid) > before[pid] + 0.05 for pid in pids), 20)
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


def strike(pids: list[int], blow: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, blow)
    if blow is signal.SIGKILL:  # of which they die in their own time
        wait_for(lambda: all(map(ended, pids)), 10)


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def assert_whole(pool: MediaPool, workers: int) -> None:
    """So many decode at a time, and one stands by."""
    wait_for(lambda: pool.ready == workers + 1, 30)
    assert_decodes(pool)


@pytest.mark.parametrize("blow", [signal.SIGSEGV, signal.SIGABRT])
def test_a_crash_fails_its_own_request_alone(elsewhere: list[int], blow: signal.Signals) -> None:
    with MediaPool(2, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        pids = own_workers(elsewhere)
        assert len(pids) == 3
        doomed = threads.submit(decode_slowly, pool)
        victim = wait_for_work(pids)
        assert_decodes(pool)  # the other worker is free
        assert pool.busy == 1
        os.kill(victim, blow)
        with pytest.raises(UndecodableMediaError):
            doomed.result(20)
        assert_whole(pool, 2)
        assert len(own_workers(elsewhere)) == 3
        assert victim not in own_workers(elsewhere)
        assert pool.restarts == {"died": 1, "timed_out": 0, "out_of_memory": 0, "leaked": 0, "cancelled": 0}


def test_a_file_whose_worker_is_killed_from_outside_is_tried_again(
    elsewhere: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "ATTEMPTS", 2)  # a third worker has yet to start
    some_time = black_apng(1024, 64)
    with MediaPool(1, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        saved = threads.submit(pool.decode_video, some_time, size=64, channels=3, fit="crop")
        os.kill(wait_for_work(own_workers(elsewhere)), signal.SIGKILL)
        assert len(saved.result(30).frames) == 64
        assert_whole(pool, 1)
        doomed = threads.submit(decode_slowly, pool)
        os.kill(wait_for_work(own_workers(elsewhere)), signal.SIGKILL)
        wait_for(lambda: pool.restarts["died"] == 2 and pool.ready == 2, 30)  # what starts computes, too
        os.kill(wait_for_work(own_workers(elsewhere)), signal.SIGKILL)
        with pytest.raises(UndecodableMediaError):
            doomed.result(20)
        assert_whole(pool, 1)
        assert pool.restarts["died"] == 3


def test_a_process_that_answers_nonsense_is_ended_at_once() -> None:
    process = DecodingProcess(MediaLimits())
    process.wait_until_ready()
    asked = Question(CLIP, asdict(Wanted(Pictures(64, 3, "crop"))), max_body=FRAMES.nbytes - 1)
    start = time.monotonic()
    with pytest.raises(LostError) as lost:
        process.ask(asked, lambda header, body: pytest.fail("it is longer than allowed"), Patience())
    assert time.monotonic() - start < 2
    assert (lost.value.reason, lost.value.struck) == ("died", False)
    assert not process.alive


def test_workers_killed_while_idle_are_replaced(elsewhere: list[int]) -> None:
    with MediaPool(2, MediaLimits()) as pool:
        pids = own_workers(elsewhere)
        strike(pids, signal.SIGKILL)
        assert_decodes(pool)
        assert_whole(pool, 2)
        strike(own_workers(elsewhere), signal.SIGKILL)
        wait_for(lambda: pool.restarts["died"] == 6, 20)  # also if nobody asks
        assert_whole(pool, 2)


def test_nobody_waits_for_a_worker_to_start(elsewhere: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    with MediaPool(1, MediaLimits(timeout_s=0.3)) as pool:
        assert pool.ready == 2
        monkeypatch.setattr(sys, "executable", "/bin/false")  # none starts from here on
        with pytest.raises(MediaTimeoutError):
            decode_slowly(pool)
        assert_decodes(pool)
        assert pool.ready == 1
        monkeypatch.undo()
        assert_whole(pool, 1)  # after some attempts in vain


def test_time_is_bounded(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits(timeout_s=0.3)) as pool:
        pids = own_workers(elsewhere)
        start = time.monotonic()
        with pytest.raises(MediaTimeoutError):
            decode_slowly(pool)
        assert 0.3 <= time.monotonic() - start < 3
        assert sum(map(is_worker, pids)) == 1
        assert_whole(pool, 1)
        assert pool.restarts["timed_out"] == 1


def test_a_worker_that_hangs_is_killed(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits(timeout_s=0.3)) as pool:
        pids = own_workers(elsewhere)
        strike(pids, signal.SIGSTOP)
        for _ in pids:
            with pytest.raises(MediaTimeoutError):
                pool.decode_video(SLOW * 4, size=64, channels=3, fit="crop")  # more than fits into the pipe
        assert not any(map(is_worker, pids))
        assert_whole(pool, 1)


def test_the_caller_may_wait_less(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        pids = own_workers(elsewhere)
        slow = threads.submit(pool.decode_video, SLOW, size=64, channels=3, fit="crop", timeout=2.0)
        wait_for_work(pids)
        start = time.monotonic()
        with pytest.raises(MediaTimeoutError, match="free"):
            pool.decode_video(CLIP, size=64, channels=3, fit="crop", timeout=0.1)
        assert time.monotonic() - start < 1
        assert own_workers(elsewhere) == pids  # waiting in vain harms nobody
        with pytest.raises(MediaTimeoutError):
            slow.result(20)
        assert_whole(pool, 1)


def test_what_nobody_wants_is_stopped(elsewhere: list[int]) -> None:
    cancelled = threading.Event()

    def unwanted(data: bytes) -> None:
        pool.decode_video(data, size=64, channels=3, fit="crop", cancelled=cancelled)

    with MediaPool(1, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        pids = own_workers(elsewhere)
        running = threads.submit(unwanted, SLOW)
        wait_for_work(pids)
        waiting = threads.submit(unwanted, CLIP)
        cancelled.set()
        start = time.monotonic()
        for request in (running, waiting):
            with pytest.raises(CancelledError):
                request.result(20)
        assert time.monotonic() - start < 2
        assert pool.busy == 0
        assert_whole(pool, 1)
        assert pool.restarts == {"died": 0, "timed_out": 0, "out_of_memory": 0, "leaked": 0, "cancelled": 1}


def test_what_is_nearly_done_when_nobody_wants_it_costs_no_worker(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits()) as pool, ThreadPoolExecutor() as threads:
        for _ in range(20):
            cancelled = threading.Event()
            asked = threads.submit(pool.decode_video, CLIP, size=64, channels=3, fit="crop", cancelled=cancelled)
            cancelled.set()
            assert isinstance(asked.exception(20), CancelledError | None)
        assert not any(pool.restarts.values())


def test_memory_is_bounded(elsewhere: list[int]) -> None:
    large = black_apng(2048, 2)
    with MediaPool(1, MediaLimits(memory_mb=16)) as pool:
        with pytest.raises(MediaTooLargeError, match="memory"):
            pool.decode_video(large, size=64, channels=3, fit="crop")
        with pytest.raises(MediaError):
            pool.decode_video(film(moving(2, 2000, 2000)), size=64, channels=3, fit="crop")
        assert_whole(pool, 1)
        assert pool.restarts["out_of_memory"] >= 1
    with MediaPool(1, MediaLimits(memory_mb=128)) as pool:
        assert len(pool.decode_video(large, size=64, channels=3, fit="crop").frames) == 2


LARGE = film(np.zeros((12, 2048, 2048, 3), np.uint8), pixels="yuv420p")
"""Takes about 90 MiB while it is decoded, of which the C library keeps some 18 for the next file."""


def test_memory_does_not_add_up(elsewhere: list[int]) -> None:
    with MediaPool(1, MediaLimits(memory_mb=256)) as pool:  # of which it may keep 64 MiB
        pids = own_workers(elsewhere)
        for _ in range(5):
            pool.decode_video(LARGE, size=64, channels=3, fit="crop")
        assert own_workers(elsewhere) == pids
        assert not any(pool.restarts.values())


def test_a_worker_that_keeps_memory_is_replaced_and_nobody_notices(
    elsewhere: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_module, "LEAK_SHARE", 32)
    with MediaPool(1, MediaLimits(memory_mb=256)) as pool:  # of which it may keep 8 MiB
        pids = own_workers(elsewhere)
        for _ in range(2):
            assert len(pool.decode_video(LARGE, size=64, channels=3, fit="crop").frames) == 12
        assert pool.restarts == {"died": 0, "timed_out": 0, "out_of_memory": 0, "leaked": 2, "cancelled": 0}
        assert_whole(pool, 1)
        assert not set(pids) & set(own_workers(elsewhere))


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
        pids = own_workers(elsewhere)
        threads = {1}
        done = threading.Event()

        def watch() -> None:
            while not done.is_set():
                threads.update(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in pids)

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for data in films:
                pool.decode_video(data, size=64, channels=3, fit="crop")
        finally:
            done.set()
            watcher.join()
    assert threads == {1}


def bounds_of(process: Path) -> dict[str, list[str]]:
    """Soft and hard."""
    return {line[:26].strip(): line[26:].split()[:2] for line in (process / "limits").read_text().splitlines()[1:]}


@pytest.fixture
def worker(elsewhere: list[int], monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The /proc entry of a worker, one that has decoded, of a process that holds secrets and a socket for children."""
    monkeypatch.setenv("RWAE_API_KEYS", "hunter2")
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.set_inheritable(True)
        with MediaPool(1, MediaLimits(timeout_s=7)) as pool:
            assert_decodes(pool)
            yield next(
                process
                for process in [Path(f"/proc/{pid}") for pid in own_workers(elsewhere)]
                if bounds_of(process)["Max cpu time"][0].isdigit()
            )


def test_workers_inherit_nothing(worker: Path) -> None:
    assert sorted(os.listdir(worker / "fd")) == ["0", "1", "2"]
    assert os.readlink(worker / "fd" / "1") == os.readlink(worker / "fd" / "2") == os.devnull
    assert os.readlink(worker / "cwd") == "/"
    assert b"hunter2" not in (worker / "environ").read_bytes()
    assert os.getsid(int(worker.name)) != os.getsid(0)  # the terminal's interrupt is not for it


def test_workers_are_bounded(worker: Path) -> None:
    bounds = bounds_of(worker)
    assert bounds["Max open files"] == ["0", "0"]
    assert bounds["Max file size"] == ["0", "0"]
    assert bounds["Max core file size"] == ["0", "0"]
    assert bounds["Max processes"] == ["0", "0"]
    assert int(bounds["Max address space"][1]) < 3 * 2**30
    assert 7 <= int(bounds["Max cpu time"][0]) < 15


def test_workers_make_no_calls_but_those_of_decoding(worker: Path) -> None:
    status = dict(line.split(":\t", 1) for line in (worker / "status").read_text().splitlines())
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


CONFINED = """
import ctypes, os, resource, socket, threading
from rwae_core.media.confine import confine
from rwae_core.media.limits import MediaLimits
libc = ctypes.CDLL(None, use_errno=True)
confine(MediaLimits())

def call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

attempts = {
    "open": lambda: open("/dev/null"),
    "list": lambda: os.listdir("/"),
    "look at": lambda: os.stat("/etc/passwd"),
    "delete": lambda: os.unlink("kept"),
    "rename": lambda: os.rename("kept", "gone"),
    "shorten": lambda: os.truncate("kept", 0),
    "allow": lambda: os.chmod("kept", 0o777),
    "make": lambda: os.mkdir("made"),
    "link": lambda: os.symlink("/etc/passwd", "made"),
    "move": lambda: os.chdir("/etc"),
    "socket": socket.socket,
    "two sockets": socket.socketpair,
    "pipe": os.pipe,
    "copy": lambda: os.dup(0),
    "fork": os.fork,
    "run": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "kill": lambda: os.kill(os.getppid(), 0),
    "bound another": lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CORE),
    "look into another": lambda: call("ptrace", 16, os.getppid(), 0, 0),
    "ask for privileges": lambda: call("setuid", 0),
    "outlive the parent": lambda: call("prctl", 1, 0, 0, 0, 0),
    "leave the session": os.setsid,
}
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError as error:
        print(name, "-", error.strerror)
    else:
        print(name, "- POSSIBLE")
try:
    threading.Thread(target=print).start()
except RuntimeError:
    print("thread - none")
try:
    bytearray(2 * 2**30)
except MemoryError:
    print("memory - none")
"""


def test_confined_code_reaches_nothing(tmp_path: Path) -> None:
    """The same bounds, with code in the place of a decoder."""
    (tmp_path / "kept").write_text("kept")
    done = subprocess.run(
        [sys.executable, "-c", CONFINED],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    outcomes = dict(line.split(" - ") for line in done.stdout.splitlines())
    assert len(outcomes) == 25, done.stdout
    assert {outcomes.pop("thread"), outcomes.pop("memory")} == {"none"}
    assert set(outcomes.values()) == {os.strerror(errno.EPERM)}, outcomes
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"kept": "kept"}


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
    """Also when that one is killed, and also when they are busy."""
    script = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from mediafiles import black_apng, worker_pids
from rwae_core.media.limits import MediaLimits
from rwae_core.media.pool import MediaPool
pool = MediaPool(2, MediaLimits())
slow = black_apng(2048, 512)
threading.Thread(target=lambda: pool.decode_video(slow, size=64, channels=3, fit="crop")).start()
print(*worker_pids(), flush=True)
threading.Event().wait()
"""
    arguments = [sys.executable, "-c", script, str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        wait_for_work(pids)
        parent.kill()

    wait_for(lambda: not any(map(is_worker, pids)), 5)  # long before the file is decoded


def test_closing_ends_workers_and_wakes_who_waits(elsewhere: list[int]) -> None:
    pool = MediaPool(1, MediaLimits())
    with ThreadPoolExecutor() as threads:
        decoding = threads.submit(decode_slowly, pool)
        wait_for_work(own_workers(elsewhere))
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
