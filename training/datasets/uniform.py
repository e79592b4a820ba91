"""Random numbers by count: a hash of (seed, index, draw) in place of a generator's state.

What a sequence's draws are depends on its own index alone, so a clip is the same in any batch, in any order and for
any number of frames, and all of a batch is drawn by a few tensor operations on its device.
"""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor


def _signed(word: int) -> int:
    """The int64 with the bits of this unsigned word: PyTorch has no uint64 arithmetic on every device."""
    word %= 1 << 64
    return word - (1 << 64) if word >> 63 else word


_STEP = 0x9E3779B97F4A7C15
_MULTIPLIERS = (_signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB))


def bits(seed: int, index: Int[Tensor, "*index"], draw: Int[Tensor, "*draw"] | int) -> Int[Tensor, "*drawn"]:
    """64 random bits for each index and draw, which broadcast: mix(mix(seed·g + index) + draw·g).

    mix is the finaliser of SplitMix64 and g its increment (Steele, Lea & Flood 2014): each index is the seed of its
    own SplitMix64 stream, of which a draw is one output.
    """
    ahead = _signed(draw * _STEP) if isinstance(draw, int) else draw * _signed(_STEP)
    return _mix(_mix(index.long() + _signed(seed * _STEP)) + ahead)


def uniform(seed: int, index: Int[Tensor, "*index"], draw: Int[Tensor, "*draw"] | int) -> Float[Tensor, "*drawn"]:
    """Uniform in [0, 1): the multiples of 2⁻²⁴, which float32 holds exactly."""
    return _shift(bits(seed, index, draw), 40).float() * 2.0**-24


def integers(
    seed: int, index: Int[Tensor, "*index"], draw: Int[Tensor, "*draw"] | int, count: int
) -> Int[Tensor, "*drawn"]:
    """Uniform among 0 … count − 1, to within count · 2⁻³²; `count` is below 2³¹."""
    return _shift(_shift(bits(seed, index, draw), 32) * count, 32)


def _mix(word: Tensor) -> Tensor:
    word = (word ^ _shift(word, 30)) * _MULTIPLIERS[0]
    word = (word ^ _shift(word, 27)) * _MULTIPLIERS[1]
    return word ^ _shift(word, 31)


def _shift(word: Tensor, by: int) -> Tensor:
    """Logical right shift; `>>` on a signed tensor repeats the sign."""
    return (word >> by) & ((1 << 64 - by) - 1)
