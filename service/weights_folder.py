"""The weights folder, read at the start and followed from then on.

It is asked every few seconds whether a file changed, which works on every kind of file system. A new or changed model
is loaded and tried beside the one that serves, and then takes its place at once.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.errors import RwaeError, WeightsError
from rwae_core.model import RWAE
from rwae_core.weights import CONFIG_FILE, WEIGHTS_FILE
from service.library import Library, Model
from service.networks import Budget, Networks, read_network
from service.verbs import audio, video
from service.verbs.base import Codes

logger = logging.getLogger(__name__)

POLL_S = 2.0
"""Seconds between two looks; what changed is read when it has stayed the same between two of them."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

_State = tuple[tuple[int, int, int] | None, ...]
"""Time of change, size and inode of each file of a model; None where there is no such file."""


class WeightsFolder:
    """Keeps a library as a folder of models says.

    What is broken is logged, once for each change, and left out: a model that served before goes on serving.

    Args:
        path: One folder for each model, as `rwae_core.weights` writes them.
        devices: Where the networks go.
        library: Where the models go.
        budget: Memory for them.
        drawing: As for `read_network`.
    """

    def __init__(
        self,
        path: Path,
        devices: Sequence[torch.device],
        library: Library,
        budget: Budget | None = None,
        drawing: torch.dtype = torch.float32,
    ) -> None:
        self.library, self._drawing = library, drawing
        self._path, self._devices, self._budget = path, tuple(devices), budget or Budget()
        self._read: dict[str, _State] = {}  # of each model when it was read, whole or broken
        self._seen: dict[str, _State | None] = {}  # at the last look, of those that have changed since they were read
        self._readable = True

    def read(self) -> None:
        """Reads every model at once: at the start, when nothing serves that could be spoilt."""
        for name, state in sorted(self._look().items()):
            self._load(name, state)
        self.library.log_defaults()

    def poll(self) -> None:
        """Reads what has changed since it was read and has stayed the same since the last look; drops what has gone."""
        found = self._look()
        if not self._readable:  # a disk that is away for a while takes no model with it
            return
        for name in sorted(found.keys() | self._read.keys()):
            state = found.get(name)
            if state == self._read.get(name):
                self._seen.pop(name, None)
            elif name not in self._seen or self._seen[name] != state:
                self._seen[name] = state  # it may be half copied
            elif state is None:
                del self._read[name], self._seen[name]
                self._remove(name)
            else:
                del self._seen[name]
                self._load(name, state)

    def _look(self) -> dict[str, _State]:
        """The folders that may be models."""
        try:
            folders = [entry for entry in self._path.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
        except OSError as error:
            if self._readable:
                logger.error("the weights folder '%s' cannot be read: %s", self._path.name, error.strerror)
            self._readable = False
            return {}
        self._readable = True
        return {folder.name: tuple(_state(folder / name) for name in (CONFIG_FILE, WEIGHTS_FILE)) for folder in folders}

    def _load(self, name: str, state: _State) -> None:
        self._read[name] = state
        serving = self.library.models.get(name)
        if not _ID.fullmatch(name):
            logger.error("weights folder %r skipped: name it with letters, digits, '.', '_' and '-'", name)
            return
        try:
            # In a thread that ends: OpenMP keeps helpers for each that has computed, and where these are more than the
            # processors they sleep between two steps, which makes passes a quarter slower.
            with ThreadPoolExecutor(1, "weights") as thread:
                model, networks = thread.submit(self._tried, name).result()
        except (RwaeError, OSError, RuntimeError, ValueError, MemoryError) as error:
            then = "skipped" if serving is None else "not read again, what serves stays"
            logger.error("weights '%s' %s: %s", name, then, error)
            return
        if serving is not None and serving.weights == model.weights:
            logger.info("weights '%s' are whole, and as they were", name)
            return
        self._forget(self.library.put(model))
        self._budget.used(networks)
        logger.info("weights '%s' loaded", name)

    def _tried(self, name: str) -> tuple[Model, Networks]:
        """A model, read onto every device and tried."""
        loaded = {device: read_network(self._path / name, device, self._drawing) for device in self._devices}
        _, weights = next(iter(loaded.values()))
        if any(each != weights for _, each in loaded.values()):
            raise WeightsError(f"weights '{name}' changed while they were read")
        networks = Networks(self._path / name, weights, self._devices, self._budget, self._drawing)
        for device, (network, each) in loaded.items():
            _warm_up(network, each.model)
            networks.hold(device, network)
        return Model(name, weights, networks), networks

    def _remove(self, name: str) -> None:
        if self._forget(self.library.remove(name)):
            logger.warning("weights '%s' are no longer there, and no longer served", name)

    def _forget(self, model: Model | None) -> bool:
        if model is not None and isinstance(model.networks, Networks):
            self._budget.forget(model.networks)
        return model is not None


class Watch:
    """Looks at a weights folder every few seconds, in a thread of its own.

    Args:
        folder: What to look at; it has been read.
        every_s: Seconds between two looks.
    """

    def __init__(self, folder: WeightsFolder, every_s: float = POLL_S) -> None:
        self._folder, self._every_s = folder, every_s
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, name="weights folder", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; waits while a model is being read."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(self._every_s):
            try:
                self._folder.poll()
            except Exception:  # else later changes would go unnoticed
                logger.exception("the weights folder cannot be looked at")


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


@torch.inference_mode()
def _warm_up(network: RWAE, config: ModelConfig) -> None:
    """Runs each verb once: it proves that the model works, and no request pays for lazy initialisation."""
    codes = Codes(
        np.zeros(config.content_dim, np.float32),
        np.zeros((config.frames, config.motion_dim), np.float32),
        np.zeros(config.actions, np.float32) if config.actions else None,
    )
    if isinstance(config.frame_networks, SpectrumFrames):
        wave = np.zeros(config.frames * config.frame_networks.spectrum.hop, np.float32)
        audio.Encode.run(network, [audio.Encode(wave)])
        audio.Decode.run(network, [audio.Decode(codes)])
        audio.Swap.run(network, [audio.Swap(wave, wave)])
        audio.Generate.run(network, [audio.Generate(1, config.frames, seed=0)])
    else:
        clip = np.zeros((config.frames, config.size, config.size, config.channels), np.uint8)
        video.Encode.run(network, [video.Encode(clip)])
        video.Decode.run(network, [video.Decode(codes)])
        video.Swap.run(network, [video.Swap(clip, clip)])
        video.Generate.run(network, [video.Generate(1, config.frames, seed=0)])


def load_library(
    folder: Path,
    devices: Sequence[torch.device],
    default_video: str | None = None,
    default_audio: str | None = None,
) -> Library:
    """Reads every model of a weights folder once, as `WeightsFolder` does."""
    library = Library(default_video, default_audio)
    WeightsFolder(folder, devices, library).read()
    return library
