"""What the loop needs to know of a method: its parts, which of them each update moves, and the terms it descends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rwae_core.precision import has_bfloat16
from training.datasets.batch import Batch
from training.preset import Objective, Preset


class Algorithm(nn.Module, ABC):
    """A model with all that trains it; its state is what a run resumes from.

    `model` is what the run is for; `phases` are the updates of one iteration, each the names of the parts that it
    moves, on a batch of its own.
    """

    model: nn.Module
    phases: tuple[frozenset[str], ...]
    _learning: frozenset[str] | None = None

    @abstractmethod
    def parts(self) -> dict[str, list[nn.Module]]:
        """Modules that learn at one rate: `encoder`, `action`, `decoder` and `critic` are the schedule's."""

    @abstractmethod
    def terms(
        self, phase: frozenset[str], batch: Batch, generator: torch.Generator, progress: float | Tensor
    ) -> dict[str, Tensor]:
        """Unweighted terms of a phase's objective by name, scalars.

        Those named in the preset's objective count with its weight, all others with 1; each reaches only the parts of
        the phase. Of several processes each gives those of its own clips, and the mean of theirs is meant: a term that
        compares clips with each other takes all of them (`training.processes.gathered`).

        Args:
            phase: One of `phases`; only its parts require gradients.
            batch: Clips of the training data.
            generator: Source of every draw.
            progress: Share of the run that is done, 0 to 1.
        """

    def learn(self, phase: frozenset[str]) -> None:
        """Lets the parts of a phase require gradients, and no other."""
        if phase != self._learning:  # asking every parameter takes longer than some of the terms
            for name, modules in self.parts().items():
                for module in modules:
                    module.requires_grad_(name in phase)
            self._learning = phase

    def start(self, batches: Callable[[], Batch], held_out: Callable[[], Batch], given: frozenset[str]) -> None:
        """Sets what data should decide before the first update; by default nothing.

        Args:
            batches: Draws a batch of the training data.
            held_out: Draws one of what is not trained on.
            given: Parts of the model, by the names it has them by, that are not random but from other weights.
        """
        del batches, held_out, given


def weighted_sum(terms: dict[str, Tensor], weights: Mapping[str, float | Tensor]) -> Tensor:
    """What a phase descends: the preset's terms with their weights, and all that it does not know as they are.

    Terms that the preset knows and gives no weight are only logged.
    """
    counted = [
        value * weights.get(name, 1)
        for name, value in terms.items()
        if name in weights or name not in Objective.model_fields
    ]
    return torch.stack(counted).sum()


def computing(device: torch.device, chosen: Preset) -> torch.autocast:
    """Inside, networks compute in bfloat16 if the preset lets them and the device has it, in float32 otherwise."""
    return torch.autocast(device.type, torch.bfloat16, enabled=chosen.bfloat16 and has_bfloat16(device))


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Inside, gradients pass through `module` and stop short of its parameters."""
    learning = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)
