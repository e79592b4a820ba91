"""The training loop, from top to bottom.

A run that was stopped, even killed, goes on from its last checkpoint on the same trajectory: give the same command
again. `training.evaluate` judges a run, `training.export` makes weights of it.
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training import checkpoint, objectives, preset, views
from training.critics import Critics
from training.memory import keep_freed_memory
from training.preset import Preset
from training.sprites import ATTRIBUTES, DataError, Labels, Sprites

LOG_EVERY, CHECKPOINT_EVERY, WATCH_EVERY = 50, 250, 500
WATCHED_PAIRS = 200


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


def train(  # noqa: PLR0912, PLR0915  one loop, read from top to bottom
    chosen: Preset, data: Path, out: Path, *, device: torch.device, seed: int
) -> None:
    """Trains until the preset's last iteration, from the run's checkpoint where there is one.

    Args:
        chosen: What to train and how.
        data: Folder of the preset's dataset.
        out: Folder of the run, which gets `checkpoint.pt`, `run.json` and `log.jsonl`.
        device: Where everything is computed.
        seed: Decides the initial weights, the batches and the noise.

    Raises:
        DataError: the dataset is missing or incomplete.
        TrainingError: `out` holds another run, a loss is not finite, or the run cannot be written (a full disk).
    """
    training, held_out = Sprites(data, "train", device), Sprites(data, "validation", device)
    schedule = chosen.schedule
    torch.manual_seed(seed)
    model = RWAE(chosen.model).to(device)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overload is missing
    critics = Critics(chosen.model, chosen.objective).to(device)
    average = AveragedModel(model, avg_fn=moving_average(schedule.average))
    averaged = cast("RWAE", average.module)
    parts: dict[str, list[nn.Module]] = {
        "encoder": [model.frame_encoder, model.content_posterior, model.motion_posterior],
        "decoder": [model.decoder, model.prior],
        "critic": [critics],
    }
    optimisers = {
        name: torch.optim.Adam([p for part in modules for p in part.parameters()], betas=schedule.betas)
        for name, modules in parts.items()
        if any(True for part in modules for _ in part.parameters())
    }
    generator = torch.Generator(device).manual_seed(seed)

    run = {"preset": chosen.model_dump(mode="json"), "seed": seed}
    start = 0
    if (state := checkpoint.load(out, device)) is not None:
        if state["run"] != run:
            raise TrainingError(f"{out} holds a run of another preset or seed; give another --out, or remove it")
        start = state["iteration"]
        model.load_state_dict(state["model"])
        average.load_state_dict(state["average"])
        critics.load_state_dict(state["critics"])
        for name, optimiser in optimisers.items():
            optimiser.load_state_dict(state["optimisers"][name])
        generator.set_state(state["generator"].cpu())
    else:
        first = torch.randint(len(training), (schedule.batch,), generator=generator, device=device)
        start_at_mean(model, training.clips(first))
    log = Log(out, start)
    (out / "run.json").write_text(json.dumps(run, indent=2) + "\n")

    # Algorithm 2: L updates of the critic and the encoders, each on a batch of its own, then one of decoder and prior.
    everything = {"critic", "encoder", "decoder"}
    phases = [{"critic", "encoder"}] * schedule.inner_steps + [{"decoder"}] if schedule.inner_steps else [everything]

    progress = tqdm(range(start, schedule.iterations), initial=start, total=schedule.iterations, unit="it")
    for iteration in progress:
        weights = ramped_weights(chosen, iteration)
        for name, optimiser in optimisers.items():
            for group in optimiser.param_groups:
                group["lr"] = getattr(schedule, f"{name}_rate") * schedule.rate_factor(iteration)

        for phase in phases:
            for name, modules in parts.items():
                for part in modules:
                    part.requires_grad_(name in phase and name != "critic")
            indices = torch.randint(len(training), (schedule.batch,), generator=generator, device=device)
            codes, terms = codes_and_terms(model, critics, chosen, training.clips(indices), generator)
            loss = terms["reconstruction"] + sum(weights[name] * terms[name] for name in weights)
            loss.backward()
            for name in ("encoder", "decoder"):
                if name in phase:
                    optimisers[name].step()
                    optimisers[name].zero_grad()
            if "critic" in phase and "critic" in optimisers:
                critics.requires_grad_(True)
                critic_terms = critic_losses(critics, codes, generator)
                torch.stack(list(critic_terms.values())).sum().backward()
                optimisers["critic"].step()
                optimisers["critic"].zero_grad()
                terms |= critic_terms
            log.add(terms)
        average.update_parameters(model)

        done = iteration + 1
        last = done == schedule.iterations
        if done % LOG_EVERY == 0 or last:
            means = log.means()
            wrong = [name for name, value in means.items() if not math.isfinite(value)]
            if wrong:
                raise TrainingError(
                    f"{' and '.join(wrong)} became NaN or infinite by iteration {done}. The checkpoint in {out} is "
                    f"from before; lower the learning rates in the preset and start in another --out"
                )
            progress.set_postfix_str(f"error {means['reconstruction']:.0f}, motion {means['motion_kl']:.1f} nats")
            log.write({"iteration": done, **means, **{f"weight_{name}": value for name, value in weights.items()}})
        if done % WATCH_EVERY == 0 or last:
            watched = watch(averaged, held_out)
            log.write({"iteration": done, **watched})
            progress.write(f"{done}: on held-out characters " + ", ".join(f"{k} {v:.3g}" for k, v in watched.items()))
        if done % CHECKPOINT_EVERY == 0 or last:
            state = {
                "run": run,
                "iteration": done,
                "model": model.state_dict(),
                "average": average.state_dict(),
                "critics": critics.state_dict(),
                "optimisers": {name: optimiser.state_dict() for name, optimiser in optimisers.items()},
                "generator": generator.get_state(),
            }
            checkpoint.save(out, state)


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Exponential moving average of weights; the decay rises to its value, so that the first weights are forgotten."""

    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        return average.lerp(current, 1 - min(decay, (1 + float(count)) / (10 + float(count))))

    return update


@torch.no_grad()
def start_at_mean(model: RWAE, clip: Float[Tensor, "B T C H W"]) -> None:
    """Sets the decoder's last bias so that an untrained model draws the mean colour.

    From grey, the first updates overshoot on dark frames and leave a sigmoid saturated at black, for good.
    """
    mean = clip.mean((0, 1, 3, 4))
    model.decoder.output_bias.copy_(mean.logit(1e-3) if model.config.frame_networks.output == "sigmoid" else mean)


def codes_and_terms(
    model: RWAE, critics: Critics, chosen: Preset, clip: Float[Tensor, "B T C H W"], generator: torch.Generator
) -> tuple[Latents, dict[str, Tensor]]:
    """One batch through inference and generation: its codes and the unweighted terms of its objective (eq. 9)."""
    seen, objective = chosen.views, chosen.objective
    motion_clip = views.motion_view(clip, generator) if seen.motion_colours else clip
    content_clip = views.content_view(clip, seen.content_frames, generator) if seen.content_frames else clip
    with torch.autocast(clip.device.type, torch.bfloat16, enabled=chosen.bfloat16):
        inference = model.infer(motion_clip, content_clip=content_clip, generator=generator)
        codes = inference.latents
        prior = model.motion_prior(codes.z_m)
        if seen.decoded_frames:
            frames, kept = views.random_frames(clip, seen.decoded_frames, generator)
            rows = torch.arange(len(clip), device=clip.device)[:, None]
            found = model.decode(Latents(codes.z_c, codes.z_m[rows, kept]))
        else:
            frames, found = clip, model.decode(codes)

    # A few frames of a clip stand for all of them.
    error = objectives.squared_error(found, frames) * (clip.shape[1] / frames.shape[1])
    terms = {"reconstruction": error, "motion_kl": objectives.motion_kl(inference.motion, prior)}
    terms["content_kl"] = objectives.content_kl(inference.content)
    if objective.motion_mmd:
        terms["motion_mmd"] = objectives.motion_mmd(codes.z_m, prior.sample(generator))
    if critics.content is not None:
        terms["content_mmd"] = objectives.scaled_mmd(critics.content, codes.z_c, content_prior(codes, generator))
    if critics.dependence is not None:
        terms["dependence"] = objectives.dependence(critics.dependence, codes.z_c, codes.z_m)
    return codes, terms


def critic_losses(critics: Critics, codes: Latents, generator: torch.Generator) -> dict[str, Tensor]:
    """What the critics minimise on the codes of a batch, which they cannot change."""
    z_c, z_m = codes.z_c.detach(), codes.z_m.detach()
    losses = {}
    if critics.content is not None:
        losses["content_critic"] = -objectives.scaled_mmd(critics.content, z_c, content_prior(codes, generator))
    if critics.dependence is not None:
        losses["dependence_critic"] = objectives.dependence_critic_loss(critics.dependence, z_c, z_m)
    return losses


def content_prior(codes: Latents, generator: torch.Generator) -> Float[Tensor, "B Dc"]:
    """As many draws from P(z^c) = N(0, I) as there are codes."""
    return torch.randn(codes.z_c.shape, generator=generator, device=codes.z_c.device)


def ramped_weights(chosen: Preset, iteration: int) -> dict[str, float]:
    """Weights of the terms at an iteration: those of the preset, raised from 0 over its ramp."""
    weights = chosen.objective.model_dump(exclude={"ramp"})
    length = chosen.objective.ramp * chosen.schedule.iterations
    share = min(1.0, (iteration + 1) / length) if length else 1.0
    return {name: weight * share for name, weight in weights.items() if weight}


@torch.no_grad()
def watch(model: RWAE, held_out: Sprites) -> dict[str, float]:
    """Squared error and swap errors (%) on random pairs of held-out clips, always the same pairs."""
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(0)
    content, motion = torch.randint(len(held_out), (2, WATCHED_PAIRS), generator=generator).to(held_out.device)
    error, wrong = 0.0, []
    for i, j in zip(content.split(50), motion.split(50), strict=True):
        clip = held_out.clips(i)
        kept, moved = model.encode(clip), model.encode(held_out.clips(j))
        error += (model.decode(kept) - clip).square().sum().item() / WATCHED_PAIRS
        intended = Labels(held_out.labels(i).attributes, held_out.labels(j).action)
        wrong.append(held_out.nearest_errors(model.decode(Latents(kept.z_c, moved.z_m)), intended))
    model.train(was_training)
    rates = torch.cat(wrong).float().mean(0).mul(100).tolist()
    return {"error": error, **dict(zip(("swap_action", *(f"swap_{a}" for a in ATTRIBUTES)), rates, strict=True))}


class Log:
    """`log.jsonl` of a run: means of the terms since the last line, and what was watched."""

    def __init__(self, out: Path, start: int) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.path = out / "log.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        # Lines after the checkpoint will be written again.
        kept = [line for line in lines if json.loads(line)["iteration"] <= start]
        self.path.write_text("".join(line + "\n" for line in kept))
        self.sums: defaultdict[str, list[Tensor]] = defaultdict(list)

    def add(self, terms: dict[str, Tensor]) -> None:
        """Keeps the terms of one update, without waiting for the device."""
        for name, value in terms.items():
            self.sums[name].append(value.detach())

    def means(self) -> dict[str, float]:
        """Means since the last call."""
        means = {name: torch.stack(values).mean().item() for name, values in self.sums.items()}
        self.sums.clear()
        return means

    def write(self, line: dict[str, float]) -> None:
        """Appends a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python -m training.train --preset sprites --data ../shared/data/sprites --out runs/sprites",
    )
    parser.add_argument("--preset", required=True, help=f"one of {', '.join(preset.names())}, or a .toml file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the dataset")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run; a run that is there goes on")
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    given = parser.parse_args(arguments)
    device = torch.device(given.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    keep_freed_memory()
    try:
        train(preset.load(given.preset), given.data, given.out, device=device, seed=given.seed)
    except (DataError, TrainingError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        print(f"error: the run in {given.out} cannot be written: {why}. Make room; it then goes on from its "
              "last checkpoint with the same command", file=sys.stderr)  # fmt: skip
        return 1
    print(f"done; next: python -m training.evaluate {given.out} --data {given.data}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
