"""The networks of models in memory, and how much of it they may take."""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from typing_extensions import override

from rwae_core.errors import WeightsError
from rwae_core.model import RWAE
from rwae_core.replay import replayed
from rwae_core.weights import WeightsConfig, load_weights

logger = logging.getLogger(__name__)


class ModelUnavailableError(Exception):
    """The model's networks were unloaded, and cannot be read again at the moment."""

    def __init__(self, name: str) -> None:
        super().__init__(f"The model '{name}' cannot be read at the moment: try again soon, or ask another one.")


def read_network(
    folder: Path, device: torch.device, drawing: torch.dtype = torch.float32
) -> tuple[RWAE, WeightsConfig]:
    """A network that serves, and what its `config.json` says.

    Args:
        folder: Where the model is.
        device: Where the network goes.
        drawing: What it draws frames in on a CPU; elsewhere the engine decides.

    Raises:
        WeightsError: as for `load_weights`.
    """
    network, weights = load_weights(folder, device)
    network.prior = replayed(network.prior)
    return (network.prepare(drawing) if device.type == "cpu" else network), weights


class Networks(Mapping[torch.device, RWAE]):
    """One model's networks, one on each device: in memory, or where they were unloaded read from the folder again.

    Args:
        folder: Where the model is.
        weights: What its `config.json` said when it was read first; networks of other weights are not taken for these.
        devices: Where it serves.
        budget: Is told when they are used.
        drawing: As for `read_network`.
    """

    def __init__(
        self,
        folder: Path,
        weights: WeightsConfig,
        devices: Sequence[torch.device],
        budget: Budget,
        drawing: torch.dtype = torch.float32,
    ) -> None:
        self.name = folder.name
        self._folder, self._weights, self._devices, self._budget = folder, weights, tuple(devices), budget
        self._drawing = drawing
        self._loaded: dict[torch.device, RWAE] = {}
        self._size = 0
        self._loading = threading.Lock()

    @override
    def __getitem__(self, device: torch.device) -> RWAE:
        """The network on a device; where it was unloaded, waits until it is read.

        Raises:
            ModelUnavailableError: it cannot be read any more, or what is there now is another model.
            KeyError: the model does not serve on this device.
        """
        if device not in self._devices:
            raise KeyError(device)
        network = self._loaded.get(device)
        if network is None:
            with self._loading:
                network = self._loaded.get(device) or self._load(device)
        self._budget.used(self)
        return network

    @override
    def __iter__(self) -> Iterator[torch.device]:
        return iter(self._devices)

    @override
    def __len__(self) -> int:
        return len(self._devices)

    @property
    def bytes(self) -> int:
        """Bytes of the parameters in memory, on all devices together."""
        return self._size * len(self._loaded)

    def hold(self, device: torch.device, network: RWAE) -> None:
        """Takes a network that was read already."""
        self._size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
        self._loaded[device] = network

    def unload(self) -> None:
        """Lets go of the networks. Whoever works with one keeps it until then."""
        self._loaded = {}

    def _load(self, device: torch.device) -> RWAE:
        try:
            network, weights = read_network(self._folder, device, self._drawing)
        except WeightsError as error:
            logger.error("weights '%s' cannot be loaded again: %s", self.name, error)
            raise ModelUnavailableError(self.name) from error
        if weights != self._weights:
            logger.error("weights '%s' cannot be loaded again: there is another model in the folder now", self.name)
            raise ModelUnavailableError(self.name)
        logger.info("weights '%s' loaded again", self.name)
        self.hold(device, network)
        return network


class Budget:
    """Memory for the parameters of all models together: above it, those least recently used are unloaded.

    The one that was used last stays, however large it is.

    Args:
        megabytes: Of 2²⁰ bytes; None for as much as there is.
    """

    def __init__(self, megabytes: float | None = None) -> None:
        self._bytes = None if megabytes is None else megabytes * 2**20
        self._order: OrderedDict[int, Networks] = OrderedDict()
        self._lock = threading.Lock()

    def used(self, networks: Networks) -> None:
        """Counts them as the most recently used, and makes room for them."""
        if self._bytes is None:
            return
        with self._lock:
            self._order[id(networks)] = networks
            self._order.move_to_end(id(networks))
            sizes = {key: each.bytes for key, each in self._order.items()}
            total = sum(sizes.values())
            while total > self._bytes and len(self._order) > 1:
                key, idle = self._order.popitem(last=False)
                idle.unload()
                total -= sizes[key]
                logger.info("weights '%s' unloaded: others need the memory", idle.name)

    def forget(self, networks: Networks) -> None:
        """Counts them no more, for their model has gone; requests that still have it finish on what is loaded."""
        with self._lock:
            self._order.pop(id(networks), None)
