"""Models change on disk while a service answers: through HTTP, in a process of its own."""

from __future__ import annotations

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest
from serving import apng, own_process, wait_for

from rwae_core.weights import WEIGHTS_FILE


@pytest.fixture
def weights(weights_dir, tmp_path: Path) -> Path:
    folder = tmp_path / "weights"
    for name in ("colour", "grey"):
        shutil.copytree(weights_dir / name, folder / name)
    return folder


def test_files_that_are_deleted_and_corrupted_harm_no_request(weights, weights_dir, tmp_path):
    log, clip, stop = tmp_path / "log", apng(1), Event()
    with own_process(weights, log) as (address, process), httpx.Client(base_url=address, timeout=60) as client:

        def codes(model: str) -> str:
            answer = client.post("/encode", files={"file": clip}, data={"model": model})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["z_c"])

        def ask(model: str) -> Counter[str]:
            found: Counter[str] = Counter()
            while not stop.is_set():
                found[codes(model)] += 1
            return found

        before = {name: codes(name) for name in ("colour", "grey")}
        with ThreadPoolExecutor(2) as threads:
            asking = {name: threads.submit(ask, name) for name in before}
            try:
                damaged = bytearray((weights / "colour" / WEIGHTS_FILE).read_bytes())
                damaged[-100:] = bytes(100)
                (weights / "colour" / WEIGHTS_FILE).write_bytes(damaged)
                (weights / "grey" / WEIGHTS_FILE).unlink()
                wait_for(lambda: all(f"'{name}'" in _warnings(log) for name in before))
                assert client.get("/readyz").status_code == 200
                assert {model["id"] for model in client.get("/models").json()["models"]} == set(before)
            finally:
                stop.set()
        for name, answers in asking.items():
            assert answers.result().keys() == {before[name]}, "every answer is the old model's"

        # Whole again, another model under the old name: from one answer to the next it is the new one's.
        shutil.copytree(weights_dir / "weak", weights / "colour", dirs_exist_ok=True)
        wait_for(lambda: client.get("/models").json()["models"][0]["actions"] == 3)
        assert codes("colour") != before["colour"]
        shutil.rmtree(weights / "grey")
        wait_for(lambda: len(client.get("/models").json()["models"]) == 1)
        refused = client.post("/encode", files={"file": clip}, data={"model": "grey"})
        assert refused.status_code == 404
        assert process.poll() is None


def _warnings(log: Path) -> str:
    return "\n".join(line for line in log.read_text().splitlines() if "what serves stays" in line)
