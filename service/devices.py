"""Devices that models run on, from the names that a setting has."""

from __future__ import annotations

import torch


class DeviceError(Exception):
    """`RWAE_DEVICE` names a device that this machine does not have."""


def resolve_devices(names: tuple[str, ...]) -> list[torch.device]:
    """Devices of a `DEVICE` setting, each once.

    Raises:
        DeviceError: a name is no device, or this machine does not have it.
    """
    found: list[torch.device] = []
    for name in names:
        if name == "auto":
            device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
        else:
            try:
                device = torch.device(name)
            except RuntimeError as error:
                raise DeviceError(f"RWAE_DEVICE names '{name}'; use auto, cpu, cuda or cuda:<number>") from error
        if device.type not in ("cpu", "cuda"):
            raise DeviceError(f"RWAE_DEVICE names '{name}'; use auto, cpu, cuda or cuda:<number>")
        if device.type == "cuda":
            device = torch.device("cuda", device.index or 0)
            if device.index >= torch.cuda.device_count():
                raise DeviceError(
                    f"RWAE_DEVICE names '{name}'; this machine has {torch.cuda.device_count()} usable GPUs"
                )
        else:
            device = torch.device("cpu")
        if device not in found:
            found.append(device)
    return found
