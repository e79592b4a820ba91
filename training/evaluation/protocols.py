"""Which codes are kept, which are drawn, and what the judge then says: what the protocols of all video data share.

Shapes: N clips, T frames, K classes of a factor.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from training.datasets import Dataset
from training.evaluation.autoencoding import encode_all
from training.evaluation.findings import Section
from training.evaluation.judge import Judge, in_batches
from training.evaluation.request import Request
from training.sequence_model import SequenceModel

Verdict = dict[str, Float[Tensor, "N _"]]
"""The judge's probabilities of the classes of each factor."""


@dataclass(frozen=True)
class Bench:
    """A model, the judge of its data, and real clips with their codes, which are kept or exchanged."""

    model: SequenceModel
    judge: Judge
    data: Dataset
    chosen: Int[Tensor, " N"]
    codes: Latents

    def labels(self) -> dict[str, Int[Tensor, " N"]]:
        """What is true of the real clips."""
        return self.data.labels(self.chosen)

    def kept_motion(self, generator: torch.Generator) -> Verdict:
        """Of E[z^m], and the action where there is one, decoded with z^c of its prior."""

        def draw(rows: Tensor) -> Latents:
            kept = take(self.codes, rows)
            return self.model.sample(len(rows), self.data.frames, generator, z_m=kept.z_m, action=kept.action)

        return self._judged(draw, "keep motion")

    def kept_content(self, generator: torch.Generator) -> Verdict:
        """Of E[z^c] decoded with z^m rolled out of the recurrent prior, and an action where there is one."""

        def draw(rows: Tensor) -> Latents:
            return self.model.sample(len(rows), self.data.frames, generator, z_c=self.codes.z_c[rows])

        return self._judged(draw, "keep content")

    def swap(self, generator: torch.Generator, apart: str = "") -> tuple[Verdict, Int[Tensor, " N"]]:
        """Of z^c of clip A decoded with z^m of clip B: every clip is an A once, its B is drawn at random.

        Also which clip was the B of each. Where a factor is named in `apart`, A and B differ in it.
        """
        count = len(self.chosen)
        if apart:
            labels = self.labels()[apart].cpu()
            others = (labels[:, None] != labels).double()
            partners = others.multinomial(1, generator=generator)[:, 0].to(self.data.device)
        else:
            partners = torch.randint(count, (count,), generator=generator).to(self.data.device)

        def exchange(rows: Tensor) -> Latents:
            moved = take(self.codes, partners[rows])
            return Latents(self.codes.z_c[rows], moved.z_m, moved.action)

        return self._judged(exchange, "swap"), partners

    def _judged(self, draw: Callable[[Tensor], Latents], name: str) -> Verdict:
        rows = torch.arange(len(self.chosen), device=self.data.device)
        codes = (draw(batch) for batch in in_batches(rows, self.data.frames))
        return judged(self.model, self.judge, codes, name)


def bench(
    model: SequenceModel, judge: Judge, data: Dataset, chosen: Int[Tensor, " N"], *, request: Request, passes: int
) -> tuple[Bench, Section]:
    """Encodes clips, after it has said how long they and `passes` judgements of as many clips will take."""
    chosen = chosen.to(data.device)
    batches = in_batches(chosen, data.frames)
    if not request.quick:
        with torch.no_grad():
            clip = data.clips(batches[0])
            started = time.perf_counter()
            codes = model.encode(clip)
            encoded = time.perf_counter()
            judge(model.decode(codes))
            decoded = time.perf_counter()
        seconds = len(batches) * (2 * (encoded - started) + (1 + passes) * (decoded - encoded))
        say_how_long(request, f"{len(chosen)} clips of {data.frames} frames, judged {passes} times", seconds)
    codes, reconstruction = encode_all(model, data, chosen)
    return Bench(model, judge, data, chosen, codes), reconstruction


def say_how_long(request: Request, what: str, seconds: float) -> None:
    """Announces work, on standard error."""
    took = f"{seconds / 60:.0f} minutes" if seconds > 90 else f"{seconds:.0f} seconds"
    print(f"{request.model}: {what}: about {took}", file=sys.stderr)


@torch.no_grad()
def judged(model: SequenceModel, judge: Judge, batches: Iterator[Latents], name: str) -> Verdict:
    """The verdict on clips of codes, batch by batch."""
    logits = [judge(model.decode(codes)) for codes in tqdm(batches, desc=name, leave=False)]
    return {factor: torch.cat([each[factor] for each in logits]).double().softmax(-1) for factor in logits[0]}


def accuracies(verdict: Verdict, intended: dict[str, Int[Tensor, " N"]]) -> dict[str, float]:
    """How often the likeliest class is the intended one, in %, for each factor that is intended."""
    return {
        name: 100 * (verdict[name].argmax(1) == labels).double().mean().item()
        for name, labels in intended.items()
        if name in verdict
    }


def errors(verdict: Verdict, intended: dict[str, Int[Tensor, " N"]]) -> dict[str, float]:
    """How often it is not, in %."""
    return {name: 100 - right for name, right in accuracies(verdict, intended).items()}


def swap_errors(bench: Bench, generator: torch.Generator, motion: tuple[str, ...], apart: str = "") -> dict[str, float]:
    """Errors of a swap in %: the factors of `motion` should be B's, every other one A's; see `Bench.swap`."""
    verdict, partners = bench.swap(generator, apart)
    labels = bench.labels()
    return errors(verdict, labels | {name: labels[name][partners] for name in motion})


def take(codes: Latents, rows: Int[Tensor, " n"]) -> Latents:
    """The codes of some of the clips."""
    return Latents(codes.z_c[rows], codes.z_m[rows], None if codes.action is None else codes.action[rows])
