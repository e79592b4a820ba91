"""Settings from the environment, and the command that reads them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from service.library import load_library
from service.settings import DeviceError, Settings, available_cpus, resolve_devices


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
    assert [key.get_secret_value() for key in settings.api_keys] == ["secret-1", "secret-2"]
    assert "secret" not in repr(settings)
    assert settings.cors_origins == ("*",)
    assert settings.port == 9000
    assert settings.threads == available_cpus()
    assert resolve_devices(settings.device) == [torch.device("cpu")]


@pytest.mark.parametrize(
    ("name", "value"),
    [("port", "70000"), ("queue_size", "0"), ("dtype", "int8"), ("request_timeout_s", "0"), ("max_frames", "many")],
)
def test_bounds(monkeypatch, name, value):
    monkeypatch.setenv(f"RWAE_{name.upper()}", value)
    with pytest.raises(ValidationError, match=name):
        Settings()


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
