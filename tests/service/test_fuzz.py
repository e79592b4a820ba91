"""The service under what nobody sane would send: requests drawn from its OpenAPI document, and mutants of clips."""

from __future__ import annotations

import contextlib
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
import schemathesis
from fuzzing import Mutant, assert_documented, mutant, seeds
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import none, sampled_from
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from serving import children, open_files, own_process, resident_mb

TIMEOUT_S = 10
MARGIN_S = 10
"""What an answer may take beyond the deadline: this machine may be busy with more than the tests."""
GROWTH_MB = 60
"""Of the server and its decoding processes together: the C library keeps what a decoder used last."""
CONFORMANCE = [
    *("status_code_conformance", "content_type_conformance"),
    *("response_schema_conformance", "response_headers_conformance"),
]
UPLOADED = frozenset({200, 400, 413, 415, 422, 429, 503, 504})
ASKED = UPLOADED | {404, 405}
CLIPS = seeds()
SOUNDS = frozenset({"wav", "flac", "ogg", "mp3", "webm-opus", "ogg-opus", "mp4-aac"})
FILMS_WITH_SOUND = frozenset({"mp4-film", "mov"})

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")


@dataclass(frozen=True)
class Target:
    """A service in a process of its own.

    Attributes:
        url: its address.
        pid: its process.
        log: what it says.
        spool: its folder for temporary files.
    """

    url: str
    pid: int
    log: Path
    spool: Path

    def holdings(self) -> tuple[int, int, int]:
        """Processes, open files and temporary files."""
        return len(children(self.pid)), open_files(self.pid), len(list(self.spool.iterdir()))

    def settled(self) -> tuple[int, int, int]:
        """The same once connections are closed and the decoding processes are complete."""
        for _ in range(60):
            found = self.holdings()
            time.sleep(1)
            if found == self.holdings() and found[0] == 3:
                return found
        raise AssertionError(f"{found} processes, open files and temporary files do not settle")


@pytest.fixture(scope="module")
def target(mixed_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "spool").mkdir()
    told = {
        "TMPDIR": str(folder / "spool"),
        "OMP_NUM_THREADS": "1",
        "RWAE_THREADS": "1",
        "RWAE_REQUEST_TIMEOUT_S": str(TIMEOUT_S),
        "RWAE_MAX_GENERATE": "64",
        "RWAE_MAX_PIXELS": "65536",
        "RWAE_MAX_SECONDS": "5",
        "RWAE_MAX_STREAM_S": "0.2",
        "RWAE_MAX_UPLOAD_MB": "1",
    }
    with own_process(mixed_dir, folder / "log", **told) as (url, process):
        yield Target(url, process.pid, folder / "log", folder / "spool")


@contextlib.contextmanager
def nothing_left(target: Target) -> Iterator[None]:
    """Whatever happens in between: the same processes, files and memory, and no traceback in the log."""
    with httpx.Client(base_url=target.url, timeout=60) as client:
        for name, data in CLIPS.items():  # what a working service keeps anyway
            model = {"model": "voice"} if name in FILMS_WITH_SOUND else {}
            for _ in range(3):
                answer = client.post("/swap", files={"content": data, "motion": data}, data=model)
                assert answer.status_code == 200, (name, answer.text)
    before, memory, said = target.settled(), resident_mb(target.pid), target.log.stat().st_size
    yield
    assert target.settled() == before
    assert resident_mb(target.pid) < memory + GROWTH_MB
    assert "Traceback" not in target.log.read_text()[said:]
    assert httpx.get(f"{target.url}/readyz").status_code == 200


def send(client: httpx.Client, made: Mutant) -> httpx.Response:
    """In turn to each call, as each field, to the default model, to one that is named, and at times to a wrong one."""
    turn = made.number % 7
    sound = made.kind in SOUNDS or (made.kind in FILMS_WITH_SOUND and turn % 2 == 0)
    good, model = (CLIPS["wav"], "voice") if sound else (CLIPS["apng"], "colour")
    named = {"model": model} if turn < 4 or made.kind in FILMS_WITH_SOUND else {}
    if turn == 6:
        named = {"model": "colour" if sound else "voice"}
    if made.number % 3 == 0:
        return client.post("/encode", files={"file": made.data}, data=named)
    files = {"content": made.data, "motion": good} if made.number % 3 == 1 else {"content": good, "motion": made.data}
    return client.post("/swap", files=files, data={**named, "format": "json"})


def try_mutants(target: Target, numbers: range) -> Counter[int]:
    """How often each status was the answer."""

    def attempt(number: int) -> int:
        made = mutant(number, CLIPS)
        start = time.monotonic()
        try:
            response = send(client, made)
            assert_documented(response, UPLOADED)
            assert time.monotonic() - start < TIMEOUT_S + MARGIN_S
        except (AssertionError, httpx.HTTPError) as error:
            raise AssertionError(
                f"mutant {number}, {made.kind} {made.story}, saved as {made.saved()}: {error!r}"
            ) from error
        return response.status_code

    with (
        nothing_left(target),
        httpx.Client(base_url=target.url, timeout=TIMEOUT_S + 5 * MARGIN_S) as client,
        ThreadPoolExecutor(3) as threads,
    ):
        found = Counter(threads.map(attempt, numbers))
    assert found.total() == len(numbers)
    assert found[200] > len(numbers) / 10  # many survive: decoders are reached
    assert found[400] > len(numbers) / 5
    return found


def test_mutants_of_clips(target: Target) -> None:
    try_mutants(target, range(150))


@pytest.mark.slow
def test_many_mutants_of_clips(target: Target) -> None:
    """Takes about 50 s on two idle cores."""
    print(try_mutants(target, range(150, 2650)))


def try_document(target: Target, cases: int) -> Counter[str]:
    """Draws so many cases from the document, as it says and against what it says; how often each outcome was."""
    schema = schemathesis.openapi.from_url(f"{target.url}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    calls = [operation for operation in operations if operation.method.upper() == "POST"]
    assert {operation.path for operation in calls} == {"/encode", "/decode", "/swap", "/generate"}
    found: Counter[str] = Counter()
    with nothing_left(target):
        for operation, mode in itertools.product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
            share = cases // (2 * len(calls)) + 1 if operation in calls else 5
            with contextlib.suppress(Unsatisfiable):  # nothing can be wrong in a request without parameters
                try_operation(target, operation, mode, share, found)
    return found


def try_operation(
    target: Target, operation: schemathesis.APIOperation, mode: GenerationMode, cases: int, found: Counter[str]
) -> None:
    load_all_checks()
    checks = CHECKS.get_by_names(CONFORMANCE)

    @hypothesis.seed(0)
    @hypothesis.settings(
        max_examples=cases,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode), clip=none() | sampled_from(sorted(CLIPS)))
    def attempt(case: schemathesis.Case, clip: str | None) -> None:
        if clip is not None and isinstance(case.body, dict):
            case.body = realistic(case.body, clip)
        start = time.monotonic()
        response = case.call(base_url=target.url, timeout=TIMEOUT_S + 5 * MARGIN_S)
        assert time.monotonic() - start < TIMEOUT_S + MARGIN_S
        assert_documented(httpx_of(response), ASKED)
        case.validate_response(response, checks=checks)
        found[f"{operation.method} {operation.path} {mode.value} {response.status_code}"] += 1

    attempt()


def realistic(body: dict[str, Any], clip: str) -> dict[str, Any]:
    """A body that gets further than most that the document lets through: with a clip, a model, codes of its shape.

    What the document cannot say is what the models' shapes are, and what bytes are a clip.
    """
    model = "voice" if clip in SOUNDS else "colour"
    known: dict[str, Any] = {"file": CLIPS[clip], "content": CLIPS[clip], "motion": CLIPS[clip], "model": model}
    known |= {"z_c": [0.5] * 6, "z_m": [[0.25] * 4] * 3}
    return {field: known.get(field, value) for field, value in body.items() if field != "action"}


def httpx_of(response: schemathesis.Response) -> httpx.Response:
    headers = [(name, value) for name, values in response.headers.items() for value in values]
    headers = [(name, value) for name, value in headers if name.lower() not in ("content-encoding", "content-length")]
    return httpx.Response(response.status_code, headers=headers, content=response.content)


def test_requests_from_the_document(target: Target) -> None:
    found = try_document(target, 300)
    print(found)
    assert found.total() >= 250


@pytest.mark.slow
def test_many_requests_from_the_document(target: Target) -> None:
    """Takes about 50 s on two idle cores."""
    found = try_document(target, 3200)
    print(found)
    assert found.total() >= 3000
