"""The engine alone, without HTTP."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, wait

import numpy as np
import pytest
import torch
from serving import CPU, held, moving

from rwae_core.errors import ShapeError
from rwae_core.latents import Latents
from service.engine import ClosedError, DeadlineError, Engine, QueueFullError
from service.verbs.base import Codes, Work, clip_generator
from service.verbs.video import Decode, Encode, Generate, Swap


@pytest.fixture
def engine(library):
    engine = Engine(library, [CPU], max_batch_frames=256, queue_size=16)
    yield engine
    engine.close()


def as_clip(frames):
    return torch.from_numpy(frames.copy())[None].movedim(-1, 2).float() / 255


def as_frames(clip):
    return (clip * 255).round().to(torch.uint8)[0].movedim(1, -1).numpy()


def codes(model, seed, steps=6):
    rng = np.random.default_rng(seed)
    config = model.config
    return Codes(
        rng.normal(size=config.content_dim).astype(np.float32),
        rng.normal(size=(steps, config.motion_dim)).astype(np.float32),
    )


def levels(a, b):
    return int(np.abs(a.astype(int) - b.astype(int)).max())


class Picky(Work[int]):
    """Fails a whole batch where one of it is bad."""

    def __init__(self, value):
        self.value = value

    shape = ()
    cost = 1

    @classmethod
    def run(cls, network, batch):
        if any(work.value < 0 for work in batch):
            raise ValueError("negative")
        return [work.value for work in batch]


@pytest.mark.parametrize("name", ["colour", "grey"])
@torch.inference_mode()
def test_answers_are_the_models(engine, name):
    model = engine.library.find(name)
    network = model.networks[CPU]
    one, other = moving(1, 6), moving(2, 9)
    if model.config.channels == 1:
        one, other = one[..., :1], other[..., :1]

    encoded = engine.submit(model, Encode(one)).result().value
    latents = network.encode(as_clip(one))
    np.testing.assert_allclose(encoded.codes.z_c, latents.z_c[0], atol=1e-5)
    np.testing.assert_allclose(encoded.codes.z_m, latents.z_m[0], atol=1e-5)
    error = (network.decode(latents) - as_clip(one)).square().mean().item()
    assert encoded.psnr_db == pytest.approx(-10 * np.log10(error), abs=1e-3)

    said = codes(model, 3)
    decoded = engine.submit(model, Decode(said)).result().value
    truth = network.decode(Latents(torch.from_numpy(said.z_c)[None], torch.from_numpy(said.z_m)[None]))
    assert levels(decoded, as_frames(truth)) <= 1

    there, back = engine.submit(model, Swap(one, other, both=True)).result().value
    assert levels(there, as_frames(network.swap(as_clip(one), as_clip(other)))) <= 1
    assert levels(back, as_frames(network.swap(as_clip(other), as_clip(one)))) <= 1
    assert (len(there), len(back)) == (9, 6)
    (alone,) = engine.submit(model, Swap(one, other)).result().value
    assert levels(alone, there) <= 1

    made = engine.submit(model, Generate(2, 7, seed=5)).result().value
    sampled = network.sample(2, 7, [clip_generator(5, 0), clip_generator(5, 1)])
    assert levels(made.clips, np.stack([as_frames(clip[None]) for clip in network.decode(sampled)])) <= 1
    np.testing.assert_allclose(made.codes[1].z_m, sampled.z_m[1], atol=1e-5)


def test_test_models_are_lively(engine):
    """Else the tests of equal pixels would pass whatever was decoded."""
    for model in engine.library.models.values():
        clips = engine.submit(model, Generate(2, 8, seed=1)).result().value.clips.astype(int)
        assert np.abs(clips[0] - clips[1]).mean() > 5
        assert np.abs(clips[0, 1:] - clips[0, :-1]).mean() > 1


@pytest.mark.parametrize(
    "make",
    [
        lambda model, i: Encode(moving(i)),
        lambda model, i: Encode(moving(i), seed=i),
        lambda model, i: Decode(codes(model, i)),
        lambda model, i: Swap(moving(i), moving(i + 50, 5)),
        lambda model, i: Generate(1 + i % 3, 8, seed=i),
        lambda model, i: Generate(1 + i % 3, 8, seed=i, z_c=codes(model, i).z_c, z_m=codes(model, i, 3).z_m),
    ],
    ids=["encode", "sample", "decode", "swap", "generate", "continue"],
)
def test_what_waits_is_batched_and_answers_as_alone(engine, make):
    model = engine.library.find("colour")
    works = [make(model, i) for i in range(7)]
    alone = [engine.submit(model, work).result() for work in works]
    with held(engine):
        together = [engine.submit(model, work) for work in works]
    together = [future.result() for future in together]
    assert {done.batch for done in alone} == {1}
    assert {done.batch for done in together} == {7}
    for one, many in zip(alone, together, strict=True):
        flat_one, flat_many = flat(one.value), flat(many.value)
        assert len(flat_one) == len(flat_many) > 0
        for a, b in zip(flat_one, flat_many, strict=True):
            assert a.shape == b.shape
            if a.dtype == np.uint8:
                assert levels(a, b) <= 1
            else:
                np.testing.assert_allclose(a, b, atol=1e-4)


def flat(value):
    """Arrays anywhere in an answer."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, float):
        return [np.array(value, np.float32)]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in flat(part)]
    return [] if value is None else flat(list(vars(value).values()))


def test_batches_hold_one_shape_one_model_and_so_many_frames(engine):
    colour, grey = engine.library.find("colour"), engine.library.find("grey")
    with held(engine):
        long = [engine.submit(colour, Generate(1, 100, seed=i)) for i in range(5)]
        short = [engine.submit(colour, Generate(1, 8, seed=i)) for i in range(3)]
        other = [engine.submit(grey, Generate(1, 8, seed=i)) for i in range(2)]
        huge = engine.submit(colour, Generate(1, 300, seed=0))
    assert [future.result().batch for future in long] == [2, 2, 2, 2, 1]
    assert [future.result().batch for future in short] == [3, 3, 3]
    assert [future.result().batch for future in other] == [2, 2]
    assert huge.result().batch == 1


def test_a_seed_decides(engine):
    model = engine.library.find("colour")

    def first(**asked):
        return engine.submit(model, Generate(**{"n": 1, "frames": 8, "seed": 3, **asked})).result().value

    assert (first().clips == first().clips).all()
    for other in (0, 4, 3 + 2**32, 2**63 - 1):  # a CPU generator alone would keep the low 32 bits
        assert levels(first().clips, first(seed=other).clips) > 1
    three = first(n=3)
    assert levels(three.clips[:1], first().clips) <= 1, "a clip does not depend on how many are asked for"
    assert levels(three.clips[1], three.clips[2]) > 1
    still = first(temperature=0.0, n=2)
    assert levels(still.clips[0], still.clips[1]) <= 1
    sampled = [engine.submit(model, Encode(moving(0), seed=seed)).result().value.codes.z_c for seed in (1, 1, 2)]
    assert (sampled[0] == sampled[1]).all()
    assert np.abs(sampled[0] - sampled[2]).max() > 1e-3


def test_given_codes_are_kept_and_motion_is_continued(engine):
    model = engine.library.find("colour")
    given = codes(model, 1, steps=3)
    made = engine.submit(model, Generate(2, 8, seed=1, z_c=given.z_c, z_m=given.z_m)).result().value
    for kept in made.codes:
        np.testing.assert_array_equal(kept.z_c, given.z_c)
        np.testing.assert_array_equal(kept.z_m[:3], given.z_m)
    assert np.abs(made.codes[0].z_m[3:] - made.codes[1].z_m[3:]).max() > 1e-3


def test_one_failure_is_its_own(engine):
    model = engine.library.find(None)
    with held(engine):
        futures = [engine.submit(model, Picky(value)) for value in (1, -1, 3)]
        misfit = engine.submit(model, Decode(Codes(np.zeros(99, np.float32), np.zeros((2, 4), np.float32))))
    assert futures[0].result().value == 1
    assert futures[2].result().value == 3
    with pytest.raises(ValueError, match="negative"):
        futures[1].result()
    with pytest.raises(ShapeError, match="99"):
        misfit.result()
    assert engine.submit(model, Picky(4)).result().value == 4


def test_a_full_queue_says_so_and_cancelling_makes_room(engine):
    model = engine.library.find(None)
    with held(engine):
        waiting = [engine.submit(model, Picky(i)) for i in range(16)]
        assert engine.full
        with pytest.raises(QueueFullError) as full:
            engine.submit(model, Picky(16))
        assert 1 <= full.value.retry_after_s <= 60
        waiting[3].cancel()
        late = engine.submit(model, Picky(17))
    assert late.result().value == 17
    assert waiting[4].result().value == 4


def test_nobody_computes_what_nobody_waits_for(engine):
    model = engine.library.find(None)
    with held(engine):
        expired = engine.submit(model, Picky(-1), time.monotonic() + 0.05)
        cancelled = engine.submit(model, Picky(-1))
        alive = engine.submit(model, Picky(1), time.monotonic() + 60)
        cancelled.cancel()
        time.sleep(0.1)
    assert alive.result().batch == 1, "it would have failed with the others, and been run twice"
    with pytest.raises(DeadlineError):
        expired.result()
    with pytest.raises(CancelledError):
        cancelled.result()


def test_closing_finishes_what_waits_within_grace(library):
    engine = Engine(library, [CPU])
    model = library.find(None)
    with held(engine):
        waiting = [engine.submit(model, Generate(1, 8, seed=i)) for i in range(3)]
    engine.close(grace_s=30)
    assert all(future.result().value.clips.shape == (1, 8, 64, 64, 3) for future in waiting)
    with pytest.raises(ClosedError):
        engine.submit(model, Picky(1))


def test_closing_drops_what_waits_after_grace(library):
    engine = Engine(library, [CPU])
    model = library.find(None)
    with held(engine) as hold:
        waiting = engine.submit(model, Picky(1))
        waiting.add_done_callback(lambda _: hold.release.set())
        engine.close(grace_s=0.05)
    with pytest.raises(ClosedError):
        waiting.result()


def test_several_threads_share_the_queue(library):
    engine = Engine(library, [CPU, CPU])
    model = library.find(None)
    with held(engine), held(engine):
        assert engine.waiting == 0
        free = engine.submit(model, Picky(1))
        assert not wait([free], timeout=0.05).done
    assert free.result().value == 1
    engine.close()


def test_half_precision_is_near(library):
    engine = Engine(library, [CPU], dtype=torch.bfloat16)
    model = library.find("grey")
    clip = moving(1)[..., :1]
    exact = model.networks[CPU].encode(as_clip(clip))
    found = engine.submit(model, Encode(clip)).result().value
    engine.close()
    assert 0 < np.abs(found.codes.z_m - exact.z_m[0].numpy()).max() < 0.2
