"""The training loop, from top to bottom.

A run that was stopped, even killed, goes on from its last checkpoint on the same trajectory: give the same command
again. `training.evaluate` judges a run, `training.export` makes weights of it. On several GPUs torchrun starts it,
which gives the same run with a part of each batch on each (`training.processes`).
"""

from __future__ import annotations

import argparse
import errno
import json
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from rwae_core.config import ModelConfig
from rwae_core.latents import Latents
from rwae_core.memory import keep_freed_memory
from rwae_core.model import RWAE
from training import checkpoint, methods, preset, processes
from training.baselines.fhvae import FHVAE
from training.datasets import Dataset, Filmed, Recorded
from training.datasets.batch import random_batch
from training.datasets.catalogue import open_dataset
from training.datasets.errors import DataError
from training.datasets.sprites import Sprites
from training.iteration import Iteration
from training.preset import Preset
from training.processes import ProcessesError

LOG_EVERY, CHECKPOINT_EVERY, WATCH_EVERY = 50, 250, 500
WATCHED_PAIRS = 200


class TrainingError(Exception):
    """Training cannot go on; the message says why and what to do."""


def train(
    chosen: Preset,
    training: Dataset,
    held_out: Dataset,
    out: Path,
    *,
    device: torch.device,
    seed: int,
    start_from: Path | None = None,
) -> None:
    """Trains until the preset's last iteration, from the run's checkpoint where there is one.

    Every process of a run calls it; each takes its share of the batches, and the first alone writes.

    Args:
        chosen: What to train and how.
        training: What is learned from, on `device`.
        held_out: What progress is watched on, never learned from.
        out: Folder of the run, which gets `checkpoint.pt`, `run.json` and `log.jsonl`; one for all processes.
        device: Where everything is computed.
        seed: Decides the initial weights, the batches and the noise.
        start_from: Weights or a run of the same model, to start from instead of random weights.

    Raises:
        TrainingError: the data is not cut from recordings and has to be, the batch cannot be shared evenly among the
            processes, `out` holds another run or is not the same for all processes, `start_from` holds another model,
            or a loss is not finite; in every process.
        FileNotFoundError: `start_from` holds nothing.
        OSError: the run cannot be written (a full disk).
    """
    schedule = chosen.schedule
    if schedule.batch % processes.count():
        raise TrainingError(
            f"a batch of {schedule.batch} cannot be shared evenly among {processes.count()} processes: start a number "
            "of them that divides it, or change batch in the preset's [schedule]"
        )
    if chosen.recorded_windows and not isinstance(training, Recorded):
        raise TrainingError(
            f"the preset looks at other clips of a clip's recording, and those of {chosen.dataset} are not cut from "
            "any: take action_agreement out of its [objective], or content_windows out of its [views]"
        )
    if chosen.views.content_elsewhere and not isinstance(training, Filmed):
        raise TrainingError(
            f"the preset looks for content in other takes, and those of {chosen.dataset} are not known: take "
            "content_elsewhere out of its [views]"
        )
    torch.manual_seed(seed)
    algorithm = methods.algorithm(chosen, training).to(device)
    processes.start_alike(algorithm)
    algorithm.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # the overload is missing
    generator = torch.Generator(device).manual_seed(seed)
    iteration = Iteration(algorithm, chosen, training, generator)

    run = {"preset": chosen.model_dump(mode="json"), "seed": seed}
    run |= {} if start_from is None else {"from": str(start_from)}
    state = checkpoint.load(out, device)
    start = 0 if state is None else state["iteration"]
    if len(processes.gathered(torch.tensor([start], device=device)).unique()) > 1:
        raise TrainingError(f"{out} is not the same folder for all processes; --out must be one that their hosts share")
    if state is not None:
        if state["run"] != run:
            raise TrainingError(f"{out} holds a run of another preset, seed or start; give another --out, or remove it")
        iteration.load_state_dict(state)
    else:
        given = frozenset[str]() if start_from is None else start_as(algorithm.model, start_from)
        some, others = (partial(random_batch, data, schedule.batch, generator) for data in (training, held_out))
        algorithm.start(some, others, given)
    repeat(iteration, Log(out, start), held_out, range(start, schedule.iterations), run)


def start_as(model: nn.Module, folder: Path) -> frozenset[str]:
    """Gives a model the weights of another one like it; a decoder or a prior of other widths starts as it is.

    Returns:
        The parts that were given, by the names that the model has them by.

    Raises:
        TrainingError: that is not like it.
        FileNotFoundError: `folder` holds neither weights nor a run.
    """
    given = checkpoint.load_model(folder).state_dict()
    parts = {name for name, _ in model.named_children()}
    for part in ("decoder", "prior", "content_prior"):
        own = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(f"{part}.")}
        theirs = {name: tensor for name, tensor in given.items() if name.startswith(f"{part}.")}
        if {name: tensor.shape for name, tensor in own.items()} != {name: t.shape for name, t in theirs.items()}:
            given = {name: tensor for name, tensor in given.items() if name not in theirs} | own
            parts.discard(part)
    try:
        model.load_state_dict(given)
    except RuntimeError as error:
        raise TrainingError(
            f"{folder} holds another model than the preset's: its [model] has to be, but for decoder_widths, "
            "prior_components and content_components, the one that these weights were trained with, which their "
            "config.json or run.json says"
        ) from error
    return frozenset(parts)


def repeat(iteration: Iteration, log: Log, held_out: Dataset, left: range, run: dict[str, Any]) -> None:
    """The loop itself: iterations, and now and then a line of the log, a look at held-out clips, a checkpoint."""
    out, chosen = log.path.parent, iteration.chosen
    if processes.first():
        (out / "run.json").write_text(json.dumps(run, indent=2) + "\n")
    progress = tqdm(left, initial=left.start, total=left.stop, unit="it", disable=not processes.first())
    with checkpoint.Writer(out) as writer:
        for number in progress:
            iteration(number)

            done = number + 1
            last = done == left.stop
            if done % LOG_EVERY == 0 or last:
                means = iteration.means()
                wrong = [name for name, value in means.items() if not math.isfinite(value)]
                if wrong:
                    raise TrainingError(
                        f"{' and '.join(wrong)} became NaN or infinite by iteration {done}. The checkpoint in {out} "
                        f"is from before; lower the learning rates in the preset and start in another --out"
                    )
                progress.set_postfix({name: f"{means[name]:.4g}" for name in list(means)[:2]})
                weights = chosen.objective.weights(done / left.stop)
                log.write({"iteration": done, **means, **{f"weight_{name}": value for name, value in weights.items()}})
            if not processes.first():
                continue
            if (done % WATCH_EVERY == 0 or last) and (watched := watch(iteration.average, held_out)):
                log.write({"iteration": done, **watched})
                progress.write(f"{done}: on held-out clips " + ", ".join(f"{k} {v:.3g}" for k, v in watched.items()))
            if done % CHECKPOINT_EVERY == 0 or last:
                writer.save({"run": run, "iteration": done, **iteration.state_dict()})


@torch.no_grad()
def watch(model: nn.Module, held_out: Dataset) -> dict[str, float]:
    """Squared error a clip and, on datasets that can tell (Sprites), swap errors in %; always the same pairs."""
    if not isinstance(model, RWAE | FHVAE):  # MoCoGAN does not encode
        return {}
    was_training = model.training
    model.eval()
    generator = torch.Generator().manual_seed(0)
    content, motion = torch.randint(len(held_out), (2, WATCHED_PAIRS), generator=generator).to(held_out.device)
    error, wrong = 0.0, []
    for i, j in zip(content.split(50), motion.split(50), strict=True):
        clip = held_out.clips(i)
        kept, moved = model.encode(clip), model.encode(held_out.clips(j))
        error += (model.decode(kept) - clip).square().sum().item() / WATCHED_PAIRS
        if isinstance(held_out, Sprites):
            intended = held_out.labels(i) | {"action": held_out.labels(j)["action"]}
            wrong.append(held_out.nearest_errors(model.decode(Latents(kept.z_c, moved.z_m, moved.action)), intended))
    model.train(was_training)
    rates = (
        {f"swap_{name}": 100 * torch.cat([w[name] for w in wrong]).float().mean().item() for name in wrong[0]}
        if wrong
        else {}
    )
    return {"error": error, **rates}


class Log:
    """`log.jsonl` of a run, by its first process: means of the terms since the last line, and what was watched."""

    def __init__(self, out: Path, start: int) -> None:
        self.path = out / "log.jsonl"
        if processes.first():
            out.mkdir(parents=True, exist_ok=True)
            lines = self.path.read_text().splitlines() if self.path.exists() else []
            # Lines after the checkpoint will be written again.
            kept = [line for line in lines if json.loads(line)["iteration"] <= start]
            self.path.write_text("".join(line + "\n" for line in kept))

    def write(self, line: dict[str, float]) -> None:
        """Appends a line."""
        if processes.first():
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="examples:\n  python -m training.train\n"
        "  python -m training.train --preset sprites --data ../shared/data/sprites --out runs/sprites\n"
        "  python -m training.train --preset sprites-sharp --data ../shared/data/sprites --from runs/sprites\n"
        "  torchrun --nproc-per-node 8 -m training.train --preset sprites --data ../shared/data/sprites",
    )
    parser.add_argument(
        "--preset",
        default="moving-shapes",
        help=f"one of {', '.join(preset.names())}, or a .toml file (default: %(default)s)",
    )
    parser.add_argument("--data", type=Path, help="folder of the preset's dataset; moving-shapes needs none")
    parser.add_argument(
        "--out", type=Path, help="folder of the run; a run that is there goes on (default: runs/<preset>)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        metavar="WEIGHTS",
        help="weights or a run of the same model to start from (default: random weights)",
    )
    given = parser.parse_args(arguments)
    own = given.preset.endswith(".toml")
    out = given.out or Path("runs") / (Path(given.preset).stem if own else given.preset)
    keep_freed_memory()
    try:
        device = processes.join(given.device)
        with processes.first_goes_first():
            chosen = preset.load(given.preset)
            model = chosen.model
            training, held_out = (
                open_dataset(
                    chosen.dataset, given.data, split, device, frames=model.frames, frame_shape=model.frame_shape
                )
                for split in ("train", "validation")
            )
        if chosen.dataset == "folder":  # only the clips know how fast they play
            chosen = chosen.model_copy(update={"model": model.model_copy(update={"fps": training.fps})})
        train(chosen, training, held_out, out, device=device, seed=given.seed, start_from=given.start_from)
        if processes.first():
            steps = [f"python -m training.evaluate {out}" + (f" --data {given.data}" if given.data else "")]
            if type(model) is ModelConfig:
                steps += [f"python -m training.export {out} weights/{out.name}", "make serve"]
            print("\n  ".join(["done; next:", *steps]))
            print("what else there is to train on: python -m training.datasets")
    except TrainingError as error:
        if processes.first():
            print(f"error: {error}", file=sys.stderr)
        processes.barrier()  # torchrun ends all as soon as one has ended
        return 1
    except (DataError, ProcessesError, FileNotFoundError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        print(f"error: the run in {out} cannot be written: {why}. Make room; it then goes on from its "
              "last checkpoint with the same command", file=sys.stderr)  # fmt: skip
        return 1
    finally:
        processes.leave()
    return 0


if __name__ == "__main__":
    sys.exit(main())
