"""Batch normalisation by the statistics of the whole batch, whatever part of it a process has.

Shapes: B rows of this process, K channels, any places.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from training import processes


class BatchNorm(nn.SyncBatchNorm):
    """PyTorch's, which is `nn.BatchNorm2d` or `3d` in one process, with what it lacks: several processes on CPUs."""

    momentum: float

    def forward(self, maps: Float[Tensor, "B K *places"]) -> Float[Tensor, "B K *places"]:
        if not self.training or processes.count() == 1 or maps.device.type != "cpu":
            return super().forward(maps)
        over, shape = (0, *range(2, maps.ndim)), (1, -1, *[1] * (maps.ndim - 2))
        mean = processes.gathered(maps.mean(over)[None]).mean(0)
        centred = maps - mean.view(shape)
        variance = processes.gathered(centred.square().mean(over)[None]).mean(0)
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            n = processes.count() * maps.numel() / len(mean)
            with torch.no_grad():
                self.num_batches_tracked += 1
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(variance * n / (n - 1), self.momentum)
        return centred * ((variance + self.eps).rsqrt() * self.weight).view(shape) + self.bias.view(shape)
