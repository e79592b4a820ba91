"""Random numbers by count are SplitMix64's, uniform, and nobody's but their index's."""

from collections.abc import Iterator
from itertools import islice

import torch

from training.datasets.uniform import bits, integers, uniform


def splitmix64(state: int) -> Iterator[int]:
    """The published generator, in Python's own integers."""
    while True:
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        word = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
        yield word ^ (word >> 31)


def nth(state: int, count: int) -> int:
    """The output `count` steps from this state."""
    return next(splitmix64((state + (count - 1) * 0x9E3779B97F4A7C15) % 2**64))


def test_the_reference_gives_the_published_outputs() -> None:
    published = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert list(islice(splitmix64(1234567), 4)) == published


def test_bits_are_a_splitmix64_stream_for_each_index() -> None:
    indices, draws = torch.tensor([0, 1, 2, 54_999, 2**40]), torch.tensor([0, 1, 7, 404])
    for seed in (0, 1, 77):
        found = bits(seed, indices[:, None], draws)
        for row, index in enumerate(indices.tolist()):
            expected = [nth(nth(index, seed), draw) for draw in draws.tolist()]
            assert [word % 2**64 for word in found[row].tolist()] == expected


def test_neighbouring_indices_draws_and_seeds_are_uniform_and_unrelated() -> None:
    many = torch.arange(200_000)
    one = torch.zeros(1, dtype=torch.long)
    streams = [uniform(0, many, 0), uniform(0, many, 1), uniform(1, many, 0), uniform(0, one, many)]
    for stream in streams:
        assert 0 <= stream.min() < 1e-4
        assert 1 - 1e-4 < stream.max() < 1
        # 255 degrees of freedom: the mean is 255, five standard deviations 113.
        counts = stream.mul(256).long().bincount(minlength=256)
        assert abs(((counts - 200_000 / 256) ** 2).sum() / (200_000 / 256) - 255) < 113
    correlation = torch.corrcoef(torch.stack([*streams, streams[0].roll(1)]))
    assert (correlation - torch.eye(5)).abs().max() < 5 / 200_000**0.5


def test_integers_are_uniform_and_within_bounds() -> None:
    found = integers(3, torch.arange(370_000), 2, 37)
    counts = found.bincount()
    assert len(counts) == 37
    assert (counts - 10_000).abs().max() < 500


def test_a_number_does_not_depend_on_its_batch() -> None:
    indices = torch.arange(1000)
    draws = torch.arange(6)
    together = bits(5, indices[:, None], draws)
    order = torch.randperm(1000, generator=torch.Generator().manual_seed(0))
    assert bits(5, order[:, None], draws).equal(together[order])
    assert bits(5, indices[17:18], 4).item() == together[17, 4]
