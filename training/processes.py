"""The processes of a run: those that torchrun started together, one for each GPU, or this one alone.

All of them hold the same weights, take the same draws and step together; each computes the terms of its own rows of the
batch, an equal share. A run descends and logs the mean over its processes. For a term that is a mean over clips, that
is what one process finds in the whole batch. A term that compares clips with each other (MMD, dependence) would be
another one in a share: it is told of all rows by `gathered`.

Gradients are averaged after `backward` in place of DistributedDataParallel, which wants one module whose forward pass
uses the same parameters every time: here each phase moves others, and a term may use the critics, the posteriors or the
prior without the rest.

Shapes: n rows of a process, N of all.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx, once_differentiable
from torch.overrides import TorchFunctionMode

COMMAND = "torchrun --nproc-per-node <number> -m training.train …"


class ProcessesError(Exception):
    """The processes cannot work together, or no longer; the message says why and what to do."""


@contextlib.contextmanager
def _together() -> Iterator[None]:
    """Says in words what torch raises in those that are left when a process has ended."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessesError(
            "this process lost the others: one has ended and said why, or was killed. The run goes on from its last "
            "checkpoint with the same command"
        ) from error


def join(wanted: str | None = None) -> torch.device:
    """Joins the other processes, where torchrun started this one, and gives the device that it computes on.

    On GPUs processes talk by NCCL, on CPUs by gloo.

    Args:
        wanted: "cpu", "cuda" or, of one process alone, any device; a GPU where there is one if absent.

    Raises:
        ProcessesError: several processes that torchrun did not start, or more on this host than it has GPUs.
    """
    device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
    if not dist.is_torchelastic_launched():
        if (several := os.environ.get("WORLD_SIZE", "1")) != "1":
            raise ProcessesError(
                f"WORLD_SIZE is {several}, but torchrun did not start this process: start all with `{COMMAND}`, or "
                "unset WORLD_SIZE to train with one"
            )
        return device
    if device.type == "cuda":
        gpu, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if device.index is not None:
            raise ProcessesError(
                f"each process takes a GPU of its own, and --device {wanted} is one for all: give --device cuda, and "
                "say which GPUs there are with CUDA_VISIBLE_DEVICES"
            )
        if gpu >= gpus:
            raise ProcessesError(
                f"process {gpu} on this host has no GPU, there are {gpus}: give torchrun --nproc-per-node {gpus}, or "
                "--device cpu"
            )
        device = torch.device("cuda", gpu)
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", device_id=device)
    else:
        dist.init_process_group("gloo")
    return device


def leave() -> None:
    """Ends what `join` began."""
    if dist.is_initialized():
        dist.destroy_process_group()


def count() -> int:
    """How many processes the run has."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def first() -> bool:
    """Whether this is the process that writes: the run's folder, the log and the progress bar."""
    return rank() == 0


@contextlib.contextmanager
def first_goes_first() -> Iterator[None]:
    """Inside, the other processes wait for the first, then follow in silence.

    What it decodes and keeps on disk is there for them, and what it says, of errors too, is said once.
    """
    if count() == 1:
        yield
        return
    # Decoding can take hours; the collectives of a training step should not wait as long for a lost host.
    group = dist.new_group(backend="gloo", timeout=timedelta(days=7))
    if first():
        yield
        dist.barrier(group)
    else:
        with _together():
            dist.barrier(group)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield


def barrier() -> None:
    """Waits until all processes are here."""
    if count() > 1:
        with _together():
            dist.barrier()


def start_alike(module: nn.Module) -> None:
    """Gives all processes the first one's weights: on CPUs of different kinds a seed's draws differ in the last bit."""
    if count() > 1:
        with _together():
            for value in module.state_dict().values():
                dist.broadcast(value, 0)


def global_draws() -> contextlib.AbstractContextManager[object]:
    """Inside, what is drawn at random has a row for each clip: it is drawn for the whole batch, and cut to this share.

    So a generator, the same in all processes, gives each clip the noise that it has in one process. Of `torch.rand`,
    `torch.randn` and `torch.randint`; the first dimension is the clips', or clips are its slowest part.
    """
    return _GlobalDraws() if count() > 1 else contextlib.nullcontext()


class _GlobalDraws(TorchFunctionMode):
    DRAWS: tuple[Callable[..., Any], ...] = (torch.rand, torch.randn, torch.randint)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        del types
        kwargs = kwargs or {}
        if func not in self.DRAWS:
            return func(*args, **kwargs)
        *others, (rows, *rest) = args if isinstance(args[-1], Sequence) else (args,)
        return share(func(*others, (count() * rows, *rest), **kwargs))


def gathered(rows: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "N ..."]:
    """The rows of all processes, in order; gradients flow back to the process that each is from."""
    return rows if count() == 1 else _Gathered.apply(rows)  # type: ignore[no-untyped-call]


class _Gathered(torch.autograd.Function):
    """`torch.distributed.nn.functional.all_gather`, which torch 2.13 deprecates for what 2.11 does not have."""

    @staticmethod
    def forward(ctx: FunctionCtx, rows: Tensor) -> Tensor:
        del ctx
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(count())]
        with _together():
            dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:
        # What every process makes of these rows: the mean over processes is taken of parameters' gradients.
        del ctx
        return share(_sum(gradient))


def share(rows: Shaped[Tensor, "N ..."]) -> Shaped[Tensor, "n ..."]:
    """This process' own of the rows of all."""
    size = len(rows) // count()
    return rows[rank() * size : (rank() + 1) * size]


def mean(values: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """The mean over processes of what each has computed."""
    return values if count() == 1 else _sum(values) / count()


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replaces gradients by their mean over processes, all in one message."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    total = _add(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, values in zip(gradients, total.split([g.numel() for g in gradients]), strict=True):
        torch.div(values.view_as(gradient), count(), out=gradient)


def _sum(values: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    return _add(values.clone(memory_format=torch.contiguous_format))


def _add(total: Shaped[Tensor, "*shape"]) -> Shaped[Tensor, "*shape"]:
    """Adds to it what the other processes have in its place."""
    with _together():
        dist.all_reduce(total)
    return total
