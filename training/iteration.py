"""One iteration of a run: the update of every phase in turn and, after every tenth, the average of the weights.

Nothing in it waits for the device, so CUDA records it once as a graph and replays that: an iteration of Algorithm 2 is
thousands of small kernels, which take longer to launch one by one than to run.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from training import processes
from training.algorithm import Algorithm, weighted_sum
from training.datasets import Dataset
from training.datasets.batch import random_batch
from training.preset import Preset

PLAIN = 3
"""Iterations before the recording: libraries choose their algorithms and optimisers make their state in them."""
AVERAGED_EVERY = 10
"""Iterations: weights differ little from one to the next, and an average reads and writes all of them."""


def descend(
    phase: frozenset[str],
    algorithm: Algorithm,
    chosen: Preset,
    data: Dataset,
    generator: torch.Generator,
    *,
    progress: Tensor | float,
    weights: Mapping[str, Tensor | float],
) -> dict[str, Tensor]:
    """Terms of a phase on a batch; their weighted sum's gradients are then in what the phase updates, and no other."""
    algorithm.learn(phase)
    with processes.global_draws():
        batch = random_batch(
            data,
            chosen.schedule.batch // processes.count(),
            generator,
            windows=chosen.recorded_windows,
            look_alikes=chosen.views.content_elsewhere > 0,
        )
        terms = algorithm.terms(phase, batch, generator, progress)
    weighted_sum(terms, weights).backward()
    return terms


class Iteration:
    """What the loop repeats; call it with the number of the iteration, from 0 (or from where a run goes on).

    Weights, learning rates and progress change between iterations, so they are tensors that the update reads. Several
    processes update in step without a graph: what they tell each other is not recorded.

    Args:
        algorithm: What is trained, where it is trained.
        chosen: The preset that it is trained by.
        data: What is learned from, on the same device.
        generator: Source of batches and noise, on the same device.
        recorded: Whether CUDA may replay a graph; False is the plain path, which the other is measured against.
    """

    def __init__(
        self,
        algorithm: Algorithm,
        chosen: Preset,
        data: Dataset,
        generator: torch.Generator,
        *,
        recorded: bool = True,
    ) -> None:
        self.algorithm, self.chosen, self.data, self.generator = algorithm, chosen, data, generator
        self.device = data.device
        self.parts = {
            name: parameters
            for name, modules in algorithm.parts().items()
            if (parameters := [parameter for module in modules for parameter in module.parameters()])
        }
        self.rates = {name: torch.zeros((), device=self.device) for name in self.parts}
        self.optimisers = {
            name: torch.optim.Adam(
                parameters,
                lr=self.rates[name],
                betas=chosen.schedule.betas,
                fused=True,
                capturable=self.device.type == "cuda",
            )
            for name, parameters in self.parts.items()
        }
        self.weights = {name: torch.zeros((), device=self.device) for name in chosen.objective.weights(1.0)}
        self.progress = torch.zeros((), device=self.device)
        self.average = copy.deepcopy(algorithm.model).requires_grad_(False)
        self.sums: dict[str, Tensor] = {}
        self.times: dict[str, int] = {}
        self.summed = 0
        self.plain = 0 if recorded and self.device.type == "cuda" and processes.count() == 1 else None
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, number: int) -> None:
        """Moves every part of the algorithm and, after the tenth and the last, the average after it."""
        self._set(number)
        if self.graph is None and self.plain == PLAIN:
            self.graph = self._record()
        if self.graph is not None:
            self.graph.replay()
        elif self.plain is not None:
            self._warm_up()
            self.plain += 1
        else:
            self._update()
        self.summed += 1
        done, schedule = number + 1, self.chosen.schedule
        if done % AVERAGED_EVERY == 0 or done == schedule.iterations:
            self._follow(newest_share(schedule.average, number))

    def means(self) -> dict[str, float]:
        """Means of the terms since the last call, over iterations, phases and processes; all processes call it."""
        counts = [self.times[name] * self.summed for name in self.sums]
        sums = torch.stack(list(self.sums.values()))
        means = processes.mean(sums / torch.tensor(counts, device=self.device)).tolist()
        for value in self.sums.values():
            value.zero_()
        self.summed = 0
        return dict(zip(self.sums, means, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """All that the next iteration depends on."""
        return {
            "algorithm": self.algorithm.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "generator": self.generator.get_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` said."""
        self.algorithm.load_state_dict(state["algorithm"])
        self.average.load_state_dict(state["average"])
        for name, optimiser in self.optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
            for group in optimiser.param_groups:  # how it computes is this device's business, not the saved one's
                group |= {"lr": self.rates[name], "fused": True, "capturable": self.device.type == "cuda"}
        self.generator.set_state(state["generator"].cpu())

    def _set(self, number: int) -> None:
        """Puts what this iteration is computed with where the update reads it."""
        schedule = self.chosen.schedule
        for name, weight in self.chosen.objective.weights((number + 1) / schedule.iterations).items():
            self.weights[name].fill_(weight)
        for name, rate in self.rates.items():
            rate.fill_(getattr(schedule, f"{name}_rate") * schedule.rate_factor(number))
        self.progress.fill_(number / schedule.iterations)

    def _update(self) -> None:
        self.times = dict.fromkeys(self.times, 0)
        for phase in self.algorithm.phases:
            given = self.algorithm, self.chosen, self.data, self.generator
            terms = descend(phase, *given, progress=self.progress, weights=self.weights)
            processes.average_gradients(self.algorithm.parameters())
            for name, optimiser in self.optimisers.items():
                if name in phase:
                    optimiser.step()
                    optimiser.zero_grad()
            self._add(terms)

    @torch.no_grad()
    def _add(self, terms: dict[str, Tensor]) -> None:
        for name, value in terms.items():
            if name not in self.sums:
                self.sums[name] = torch.zeros((), device=self.device)
            self.sums[name] += value
            self.times[name] = self.times.get(name, 0) + 1

    @torch.no_grad()
    def _follow(self, share: float) -> None:
        model = self.algorithm.model
        for average, newest in zip(self.average.parameters(), model.parameters(), strict=True):
            average.lerp_(newest, share)
        for kept, current in zip(self.average.buffers(), model.buffers(), strict=True):
            kept.copy_(current)

    def _warm_up(self) -> None:
        """An update beside the stream that graphs are replayed on, as a recording wants it."""
        stream, current = torch.cuda.Stream(self.device), torch.cuda.current_stream(self.device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._update()
        current.wait_stream(stream)

    def _record(self) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.generator)
        # A checkpoint may be on its way to the host in a thread of its own.
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._update()
        return graph


def newest_share(decay: float, number: int) -> float:
    """What the moving average takes of the weights after iteration `number`, for itself and the nine before.

    All at first, for what it was before are no weights of the run. Then, with the decay d of one iteration, which rises
    to its value so that the first weights are forgotten, 1 − min(d, (1 + n) / (10 + n))¹⁰.
    """
    return 1 - min(decay, (1 + number) / (10 + number)) ** AVERAGED_EVERY if number >= AVERAGED_EVERY else 1.0
