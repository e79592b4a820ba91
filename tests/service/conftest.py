from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from fastapi import FastAPI
from serving import CPU, serving

from rwae_core.config import ModelConfig, SimpleFrames, SpectrumFrames
from rwae_core.model import RWAE
from rwae_core.weights import save_weights
from service.app import create_app
from service.library import Library
from service.settings import Settings
from service.weights_folder import load_library

for name in [name for name in os.environ if name.startswith("RWAE_") and name != "RWAE_DATA"]:
    del os.environ[name]  # settings of whoever runs the tests


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models with random weights, `colour` (recurrent), `grey` (patches, memoryless) and `weak` (three actions).

    Beside them a broken one.
    The weights are larger than at initialisation, so that what comes out depends visibly on what goes in.
    """
    root = tmp_path_factory.mktemp("weights")
    narrow = SimpleFrames(encoder_widths=(8, 8, 8, 8), decoder_widths=(8, 8, 8, 8))
    colour = ModelConfig(hidden_dim=16, content_dim=6, motion_dim=4, frame_networks=narrow)
    grey = ModelConfig(
        frames=5,
        fps=10.0,
        hidden_dim=16,
        content_dim=5,
        motion_dim=3,
        frame_networks=narrow.model_copy(update={"channels": 1}),
        content_posterior="patches",
        patch_widths=(4, 4, 8),
        decoder="memoryless",
    )
    torch.manual_seed(0)
    weak = colour.model_copy(update={"actions": 3})
    for model_id, config in (("colour", colour), ("grey", grey), ("weak", weak)):
        save(root / model_id, config)
    (root / "broken").mkdir()
    (root / "broken" / "config.json").write_text("{}")
    return root


def save(folder: Path, config: ModelConfig) -> None:
    model = RWAE(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=2.2 * parameter[0].numel() ** -0.5)
    save_weights(folder, model, card=f"Random weights, {folder.name}", metrics={"swap_error": 0.5})


@pytest.fixture(scope="session")
def mixed_dir(weights_dir, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model `colour`, and two of sound: `voice` (as the shipped one is built) and `whisper` (recurrent)."""
    root = tmp_path_factory.mktemp("mixed")
    shutil.copytree(weights_dir / "colour", root / "colour")
    small = {"fps": 100, "hidden_dim": 16, "frame_networks": SpectrumFrames(widths=(16, 16))}
    voice = ModelConfig(
        **small,
        frames=20,
        content_dim=6,
        motion_dim=4,
        content_posterior="pooled",
        motion_input="standardised",
        decoder="memoryless",
    )
    torch.manual_seed(1)
    save(root / "voice", voice)
    save(root / "whisper", ModelConfig(**small, frames=10, content_dim=5, motion_dim=3))
    return root


@pytest.fixture(scope="session")
def mixed(mixed_dir) -> Iterator[httpx.Client]:
    """A client of a service with models of video and of sound."""
    with serving(create_app(Settings(weights_dir=mixed_dir, decode_workers=2, threads=1))) as client:
        yield client


@pytest.fixture(scope="session")
def library(weights_dir) -> Library:
    return load_library(weights_dir, [CPU])


@pytest.fixture(scope="session")
def app(weights_dir) -> FastAPI:
    return create_app(Settings(weights_dir=weights_dir, threads=1))


@pytest.fixture(scope="session")
def client(app) -> Iterator[httpx.Client]:
    with serving(app) as client:
        yield client
