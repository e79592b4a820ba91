"""Whether training as it runs descends the terms of the plain path: float32, one operation after the other.

Both look at the same weights, batches and noise in every iteration. Two runs that each go their own way say less:
training amplifies what rounding begins, and two in float32, on one and on two threads, are 0.7% apart in the KL of
motion.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from tqdm import tqdm

from benchmarks.serving.verdict import Verdict, at_most
from training import methods
from training.iteration import Iteration, descend

ITERATIONS = 200
WITHIN = 0.01
"""How far each term may be from the plain path's, as a share of its size."""

Terms = dict[str, list[float]]
"""Each term of an objective over the iterations."""


def terms(one: Iteration, count: int) -> tuple[Terms, Terms]:
    """Those of the plain path and those of `one`, which goes on by so many iterations; it has but one phase."""
    chosen = one.chosen.model_copy(update={"bfloat16": False})
    algorithm = methods.algorithm(chosen, one.data).to(one.device)
    generator = torch.Generator(one.device)
    (phase,) = algorithm.phases
    plain, ours = Terms(), Terms()
    for number in tqdm(range(count), desc="agreement", leave=False):
        algorithm.load_state_dict(one.algorithm.state_dict())
        generator.set_state(one.generator.get_state())
        done = number / chosen.schedule.iterations
        found = descend(phase, algorithm, chosen, one.data, generator, progress=done, weights=one.weights)
        algorithm.zero_grad()  # these are compared, not followed
        one(number)
        for name, value in one.means().items():
            plain.setdefault(name, []).append(found[name].item())
            ours.setdefault(name, []).append(value)
    return plain, ours


def agreement(plain: Terms, ours: Terms) -> list[Verdict]:
    """A verdict a term, on its means over all iterations."""
    count = len(next(iter(plain.values())))
    return [
        at_most(f"{name}, from the plain path over {count} iterations", apart(plain[name], ours[name]), WITHIN)
        for name in plain
    ]


def apart(plain: Sequence[float], other: Sequence[float]) -> float:
    """How far the mean of one is from that of the other, as a share of the mean size of the first."""
    size = statistics.mean(map(abs, plain))
    return abs(statistics.mean(other) - statistics.mean(plain)) / size if size else float("inf")
