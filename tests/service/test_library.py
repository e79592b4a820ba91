"""The weights folder and its models: added, changed, broken, half copied, removed, unloaded, while requests go on."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from serving import CPU, Hold, held, wait_for

from rwae_core.weights import load_weights, save_weights
from service.engine import Engine
from service.library import Library, NoModelError, UnknownModelError
from service.networks import Budget, ModelUnavailableError
from service.verbs.video import Generate
from service.weights_folder import Watch, WeightsFolder

WORK = Generate(1, 4, seed=1)


@pytest.fixture
def path(weights_dir, tmp_path):
    """A weights folder with `colour` and `grey`."""
    for name in ("colour", "grey"):
        shutil.copytree(weights_dir / name, tmp_path / "weights" / name)
    return tmp_path / "weights"


@pytest.fixture
def folder(path):
    folder = WeightsFolder(path, [CPU], Library())
    folder.read()
    return folder


@pytest.fixture
def engine(folder):
    engine = Engine(folder.library, [CPU])
    yield engine
    engine.close()


def change(path, by=0.5):
    """Another version of a model."""
    network, weights = load_weights(path)
    for parameter in network.parameters():
        parameter.add_(by * parameter.abs().mean())
    save_weights(path, network, card=f"{weights.card}, changed")


@pytest.fixture
def two_threads():
    """One has no helpers, and is all that tests have where they run side by side."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")
def test_reading_models_leaves_no_thread_behind(path, two_threads):
    """Helpers of a thread that goes on would make those of the engine wait for each other asleep."""

    def read():
        before = set(os.listdir("/proc/self/task"))
        WeightsFolder(path, [CPU], Library()).read()
        wait_for(lambda: set(os.listdir("/proc/self/task")) <= before)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(read).result()


def made(engine, model):
    return engine.submit(model, WORK).result(30).value.clips


def looks(folder, number=2):
    for _ in range(number):
        folder.poll()


def errors(caplog, name="grey"):
    return [record for record in caplog.records if record.levelno >= logging.ERROR and name in record.getMessage()]


def test_a_new_model_is_served_once_it_is_whole(folder, path, weights_dir):
    shutil.copytree(weights_dir / "weak", path / "another")
    folder.poll()
    assert list(folder.library.models) == ["colour", "grey"], "it may be half copied"
    folder.poll()
    assert list(folder.library.models) == ["another", "colour", "grey"]
    assert folder.library.find(None).id == "another"
    before = dict(folder.library.models)
    looks(folder, 3)
    assert folder.library.models == before, "nothing is read again that has not changed"


def test_a_changed_model_takes_the_place_of_the_old_which_finishes_what_it_has(folder, path, engine):
    old = folder.library.find("colour")
    expected = made(engine, old)
    with held(engine):
        waiting = engine.submit(old, WORK)
        change(path / "colour")
        looks(folder)
        new = folder.library.find("colour")
        assert new is not old
        after = engine.submit(new, WORK)
    assert new.weights.card.endswith("changed")
    np.testing.assert_array_equal(waiting.result().value.clips, expected)
    assert waiting.result().batch == after.result().batch == 1, "two versions share no pass"
    assert np.abs(after.result().value.clips.astype(int) - expected.astype(int)).max() > 1


@pytest.mark.parametrize("how", ["truncated", "flipped", "config", "gone", "pickle"])
def test_a_broken_model_is_told_once_and_the_old_one_serves_on(folder, path, engine, caplog, how):
    old = folder.library.find("grey")
    expected = made(engine, old)
    weights, config = path / "grey" / "model.safetensors", path / "grey" / "config.json"
    whole, said = weights.read_bytes(), config.read_text()
    if how == "truncated":
        weights.write_bytes(whole[: len(whole) // 2])
    elif how == "flipped":
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif how == "config":
        config.write_text("{")
    elif how == "gone":
        weights.unlink()
    else:
        weights.write_bytes(pickle.dumps({"prior": 1}))
        digest = hashlib.sha256(weights.read_bytes()).hexdigest()
        config.write_text(json.dumps({**json.loads(said), "sha256": digest}))
    looks(folder, 5)
    (told,) = errors(caplog)
    assert "what serves stays" in told.getMessage()
    assert str(path) not in told.getMessage()
    assert folder.library.find("grey") is old
    np.testing.assert_array_equal(made(engine, folder.library.find("grey")), expected)

    weights.write_bytes(whole)
    config.write_text(said)
    looks(folder, 5)
    assert len(errors(caplog)) == 1
    assert folder.library.find("grey") is old, "as it was"
    change(path / "grey")
    looks(folder)
    assert folder.library.find("grey") is not old


def test_a_model_that_is_being_copied_is_not_told_of(folder, path, weights_dir, caplog):
    whole = (weights_dir / "weak" / "model.safetensors").read_bytes()
    (path / "slow").mkdir()
    folder.poll()
    shutil.copy(weights_dir / "weak" / "config.json", path / "slow" / "config.json")
    folder.poll()
    for part in range(1, 9):
        (path / "slow" / "model.safetensors").write_bytes(whole[: len(whole) * part // 8])
        folder.poll()
        assert "slow" not in folder.library.models
    folder.poll()
    assert "slow" in folder.library.models
    assert errors(caplog, "slow") == []


def test_a_copy_that_stalls_is_told_of_once_and_served_when_it_goes_on(folder, path, weights_dir, caplog):
    whole = (weights_dir / "weak" / "model.safetensors").read_bytes()
    (path / "slow").mkdir()
    shutil.copy(weights_dir / "weak" / "config.json", path / "slow" / "config.json")
    (path / "slow" / "model.safetensors").write_bytes(whole[:-9])
    looks(folder, 6)
    assert len(errors(caplog, "slow")) == 1
    (path / "slow" / "model.safetensors").write_bytes(whole)
    looks(folder)
    assert "slow" in folder.library.models


def test_a_removed_model_is_served_no_more(folder, path, engine, caplog):
    old = folder.library.find("colour")
    expected = made(engine, old)
    shutil.rmtree(path / "colour")
    folder.poll()
    assert "colour" in folder.library.models, "it may be renamed into its place at this moment"
    folder.poll()
    assert folder.library.find(None).id == "grey"
    with pytest.raises(UnknownModelError, match="served are: grey"):
        folder.library.find("colour")
    assert "'colour' are no longer there" in caplog.text
    np.testing.assert_array_equal(made(engine, old), expected)
    shutil.rmtree(path / "grey")
    looks(folder)
    assert folder.library.models == folder.library.defaults == {}
    with pytest.raises(NoModelError):
        folder.library.check_any()


def test_a_replaced_folder_leaves_no_gap(folder, path, weights_dir):
    shutil.copytree(weights_dir / "colour", path.parent / "next")
    change(path.parent / "next")
    path.joinpath("colour").rename(path.parent / "before")
    folder.poll()
    path.parent.joinpath("next").rename(path / "colour")
    folder.poll()
    assert "colour" in folder.library.models
    folder.poll()
    assert folder.library.find("colour").weights.card.endswith("changed")


def test_a_disk_that_is_away_takes_no_model_with_it(folder, path, caplog):
    before = folder.library.models
    path.rename(path.parent / "away")
    looks(folder, 4)
    assert folder.library.models is before
    assert len(errors(caplog, "cannot be read")) == 1
    path.parent.joinpath("away").rename(path)
    looks(folder, 3)
    assert folder.library.models is before


def test_defaults_follow(path, weights_dir, caplog):
    folder = WeightsFolder(path, [CPU], Library(default_video="weak"))
    folder.read()
    assert folder.library.defaults == {"video": "colour"}
    assert "default model 'weak' is not among the video models loaded: colour, grey" in caplog.text
    shutil.copytree(weights_dir / "weak", path / "weak")
    looks(folder)
    assert folder.library.defaults == {"video": "weak"}
    shutil.rmtree(path / "weak")
    looks(folder)
    assert folder.library.defaults == {"video": "colour"}


def test_what_is_shipped_is_the_default_unless_another_is_asked_for(path):
    (path / "colour").rename(path / "sprites")
    folder, other = (WeightsFolder(path, [CPU], Library(default_video=name)) for name in (None, "grey"))
    for each in (folder, other):
        each.read()
        assert next(iter(each.library.models)) == "grey"
    assert folder.library.defaults == {"video": "sprites"}
    assert other.library.defaults == {"video": "grey"}


def size(path):
    return os.path.getsize(path / "model.safetensors") / 2**20


@pytest.fixture
def narrow(path):
    """A folder of two models in memory for one, and `used`, how many bytes of it are in use."""
    most = 1.2 * max(size(path / "colour"), size(path / "grey"))
    folder = WeightsFolder(path, [CPU], Library(), Budget(most))
    folder.read()
    return folder


def loaded(folder):
    return [model.id for model in folder.library.models.values() if model.networks.bytes]


def test_idle_models_are_unloaded_and_loaded_again(narrow, folder, caplog):
    caplog.set_level(logging.INFO)
    assert list(narrow.library.models) == ["colour", "grey"], "all are listed"
    assert loaded(narrow) == ["grey"]
    assert loaded(folder) == ["colour", "grey"], "without a budget all stay"
    engine, roomy = Engine(narrow.library, [CPU]), Engine(folder.library, [CPU])
    for name in ("colour", "colour", "grey", "colour"):
        expected = made(roomy, folder.library.find(name))
        np.testing.assert_array_equal(made(engine, narrow.library.find(name)), expected)
        assert loaded(narrow) == [name]
    assert caplog.text.count("loaded again") == 3
    engine.close()
    roomy.close()


def test_many_ask_for_models_that_do_not_fit_together(narrow, folder):
    roomy = Engine(folder.library, [CPU])
    expected = {name: made(roomy, folder.library.find(name)) for name in ("colour", "grey")}
    roomy.close()
    engine = Engine(narrow.library, [CPU, CPU])

    def ask(number):
        name = ("colour", "grey")[number % 2]
        return name, made(engine, narrow.library.find(name))

    with ThreadPoolExecutor(8) as pool:
        for name, clips in pool.map(ask, range(40)):
            assert np.abs(clips.astype(int) - expected[name].astype(int)).max() <= 1
    assert len(loaded(narrow)) == 1
    engine.close()


def test_an_unloaded_model_whose_file_broke_fails_its_own_requests_alone(narrow, path, caplog):
    engine = Engine(narrow.library, [CPU])
    weights = path / "colour" / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    colour, grey = narrow.library.find("colour"), narrow.library.find("grey")
    hold = Hold()
    engine.submit(grey, hold)
    lost, fine = engine.submit(colour, WORK), engine.submit(grey, WORK)
    hold.release.set()
    with pytest.raises(ModelUnavailableError, match="'colour' cannot be read at the moment"):
        lost.result()
    assert fine.result().value.clips.shape == (1, 4, 64, 64, 1)
    assert "sha256" in caplog.text
    weights.write_bytes(whole)
    assert made(engine, colour).shape == (1, 4, 64, 64, 3)
    made(engine, grey)
    change(path / "colour")
    with pytest.raises(ModelUnavailableError):
        made(engine, colour)  # not the weights that it was
    looks(narrow)
    assert made(engine, narrow.library.find("colour")).shape == (1, 4, 64, 64, 3)
    engine.close()


def test_it_is_watched_while_requests_go_on(folder, path, weights_dir, engine):
    watch, stop, failures = Watch(folder, every_s=0.02), threading.Event(), []

    def ask():
        while not stop.is_set():
            try:
                assert made(engine, folder.library.find("colour")).shape == (1, 4, 64, 64, 3)
            except Exception as error:
                failures.append(error)

    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            pool.submit(ask)
        for _ in range(3):
            before = folder.library.find("colour")
            change(path / "colour")
            wait_for(lambda before=before: folder.library.find("colour") is not before)
        shutil.copytree(weights_dir / "weak", path / "weak")
        wait_for(lambda: "weak" in folder.library.models)
        shutil.rmtree(path / "weak")
        wait_for(lambda: "weak" not in folder.library.models)
        stop.set()
    watch.close()
    assert failures == []
    change(path / "colour", 1.0)
    after = folder.library.find("colour")
    time.sleep(0.2)
    assert folder.library.find("colour") is after, "it was closed"
