"""Settings from the environment, and the command that reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from service.cpus import available_cpus
from service.devices import DeviceError, resolve_devices
from service.edge.key import Key
from service.settings import Settings
from service.weights_folder import load_library


def test_defaults():
    settings = Settings()
    assert (settings.max_upload_mb, settings.max_frames, settings.max_pixels) == (32, 512, 4_194_304)
    assert (settings.max_seconds, settings.request_timeout_s) == (60, 30)
    assert settings.threads == available_cpus() >= 1
    assert settings.api_keys == settings.cors_origins == ()
    assert settings.max_upload_bytes == 32 * 2**20


def test_environment(monkeypatch):
    monkeypatch.setenv("RWAE_API_KEYS", " secret-1 , secret-2,")
    monkeypatch.setenv("RWAE_CORS_ORIGINS", "*")
    monkeypatch.setenv("RWAE_DEVICE", "cpu,cpu")
    monkeypatch.setenv("RWAE_PORT", "9000")
    monkeypatch.setenv("RWAE_THREADS", "")
    settings = Settings()
    assert [[key.opens(Key(name)) for name in ("secret-1", "secret-2")] for key in settings.api_keys] == [
        [True, False],
        [False, True],
    ]
    assert settings.cors_origins == ("*",)
    assert settings.port == 9000
    assert settings.threads == available_cpus()
    assert resolve_devices(settings.device) == [torch.device("cpu")]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "70000"),
        ("queue_size", "0"),
        ("dtype", "int8"),
        ("log_format", "xml"),
        ("max_per_client", "0"),
        ("request_timeout_s", "0"),
        ("max_frames", "many"),
    ],
)
def test_bounds(monkeypatch, name, value):
    monkeypatch.setenv(f"RWAE_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


GROUPS = {
    "no control groups": ({}, None),
    "v2, in a container": ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "150000 100000"}, 2),
    "v2, no quota": ({"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000"}, None),
    "v2, in a group of a group": (
        {
            "proc/self/cgroup": "0::/a/b",
            "sys/fs/cgroup/a/cpu.max": "100000 100000",
            "sys/fs/cgroup/a/b/cpu.max": "300000 100000",
        },
        1,
    ),
    "v1": (
        {
            "proc/self/cgroup": "5:memory:/m\n3:cpu,cpuacct:/a\n0::/",
            "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000",
        },
        2,
    ),
    "v1, in a container that is told its host's path": (
        {
            "proc/self/cgroup": "3:cpu,cpuacct:/docker/1f",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        1,
    ),
    "v1, no quota": (
        {
            "proc/self/cgroup": "3:cpu:/",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
        None,
    ),
}


@pytest.mark.parametrize("name", GROUPS)
def test_cpus_are_those_that_may_be_used(tmp_path, monkeypatch, name):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(4), raising=False)
    files, expected = GROUPS[name]
    for file, text in files.items():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text + "\n")
    assert available_cpus(tmp_path) == (expected or 4)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity: run it on Linux")
def test_cpus_are_no_more_than_the_affinity_allows():
    own = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(own)})
        assert available_cpus() == 1
    finally:
        os.sched_setaffinity(0, own)


@pytest.mark.parametrize("name", ["gpu", "mps", "cuda:99", "cpu:x", ""])
def test_devices_that_are_not_there(name):
    with pytest.raises(DeviceError, match="RWAE_DEVICE"):
        resolve_devices((name,))


def command(**environment):
    return subprocess.run(
        [sys.executable, "-m", "service", *environment.pop("arguments", [])],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_setting():
    shown = command(arguments=["--help"])
    assert shown.returncode == 0
    for name in Settings.model_fields:
        assert f"RWAE_{name.upper()}" in shown.stdout
    assert "examples:" in shown.stdout


def test_a_wrong_setting_is_said_in_a_line():
    for environment in ({"RWAE_PORT": "x"}, {"RWAE_DEVICE": "cuda:99"}):
        failed = command(**environment)
        assert failed.returncode == 1
        (name,) = environment
        assert failed.stderr.startswith(name)
        assert "Traceback" not in failed.stderr


def test_library_serves_what_is_whole(weights_dir, caplog):
    library = load_library(weights_dir, [torch.device("cpu")], "grey")
    assert list(library.models) == ["colour", "grey", "weak"]
    assert library.find(None).id == "grey"
    assert "'broken' skipped" in caplog.text
    assert load_library(weights_dir, [torch.device("cpu")], "broken").find(None).id == "colour"
    assert "default model 'broken'" in caplog.text
