"""Work: the operations that a computation does and the bytes that it moves, counted from its shapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, UntypedStorage
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from typing_extensions import override

from rwae_core.frames.simple import Averaged


@dataclass(frozen=True)
class Work:
    """What any device has to do at least.

    Attributes:
        flops: Floating-point operations of products and convolutions in each precision, two for a multiplication with
            its addition; all else is small beside them.
        bytes: Of their operands, each read once, and of their results, each written once: parameters, activations, and
            in training gradients. What lies between two of them (normalisation, activation) moves nothing more.
    """

    flops: Mapping[torch.dtype, int] = field(default_factory=dict)
    bytes: int = 0

    def __add__(self, other: Work) -> Work:
        return Work(Counter(self.flops) + Counter(other.flops), self.bytes + other.bytes)


def counted(compute: Callable[[], object]) -> Work:
    """The work of what a function computes on the CPU, of real tensors or, for free, of fake ones (`FakeTensorMode`).

    Recurrent networks are taken apart into their products meanwhile: oneDNN's are one operation, which has no formula.
    Averages of squares, which are computed as a product because that is quick, need none.
    """
    counting = _Counting()
    before, *_ = torch.backends.mkldnn.set_flags(_enabled=False)
    try:
        with counting, patch.object(Averaged, "forward", _pooled):
            compute()
    finally:
        torch.backends.mkldnn.set_flags(_enabled=before)
    return Work(counting.flops, sum(storage.nbytes() for storage in counting.moved.values()))


def _pooled(self: Averaged, frames: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(frames, self.side)


class _Counting(TorchDispatchMode):
    """PyTorch's own formulas, as `torch.utils.flop_counter.FlopCounterMode` has them, here with precision and bytes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.flops: Counter[torch.dtype] = Counter()
        self.moved: dict[tuple[str, int], UntypedStorage] = {}

    @override
    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        if formula := flop_registry.get(func._overloadpacket):
            read, written = (
                [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)] for values in ((args, given), result)
            )
            self.flops[read[0].dtype] += formula(*args, **given, out_val=result)
            for way, tensors in (("read", read), ("written", written)):
                for storage in (tensor.untyped_storage() for tensor in tensors):
                    self.moved[way, storage._cdata] = storage  # held, so that no other gets its place
        return result
