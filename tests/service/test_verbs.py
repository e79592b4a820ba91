"""The verbs over every kind of model: what they answer does not depend on what shares a pass, nor on how it is cut."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from serving import CPU, held, moving

from rwae_core.config import ComplexFrames, ModelConfig, SimpleFrames, SpectrumFrames, TFGANFrames
from rwae_core.errors import ShapeError
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.speech import SpectrumConfig
from rwae_core.weights import WeightsConfig
from service.engine import Engine
from service.library import Library, Model
from service.verbs import audio
from service.verbs.base import Codes
from service.verbs.operations import PIECE, DecodeFrames, decoding
from service.verbs.video import Decode, Encode, Generate, Swap

SMALL = {"content_dim": 6, "motion_dim": 3, "frames": 4, "hidden_dim": 12, "patch_widths": (4, 4, 4)}
SIMPLE = SimpleFrames(encoder_widths=(4,) * 4, decoder_widths=(4,) * 4)
SPECTRUM = SpectrumFrames(spectrum=SpectrumConfig(sample_rate=1000, hop=10, window=40), widths=(8, 8))

VIDEO = {
    "recurrent": ModelConfig(**SMALL, frame_networks=SIMPLE),
    "actions": ModelConfig(**SMALL, frame_networks=SIMPLE, actions=3),
    "memoryless": ModelConfig(**SMALL, frame_networks=SIMPLE, actions=3, decoder="memoryless"),
    "modulated": ModelConfig(**SMALL, frame_networks=SIMPLE, content_posterior="patches", decoder="modulated"),
    "complex": ModelConfig(**SMALL, frame_networks=ComplexFrames(encoder_widths=(8,) * 5, decoder_widths=(8,) * 5)),
    "tfgan": ModelConfig(**SMALL, frame_networks=TFGANFrames(encoder_widths=(4,) * 5, decoder_widths=(4,) * 5)),
}
AUDIO = {
    "spectrum": ModelConfig(**SMALL, fps=100, frame_networks=SPECTRUM),
    "pooled": ModelConfig(
        **SMALL,
        fps=100,
        frame_networks=SPECTRUM,
        content_posterior="pooled",
        motion_input="standardised",
        decoder="memoryless",
    ),
}


def build(name):
    config = {**VIDEO, **AUDIO}[name]
    torch.manual_seed(0)
    network = RWAE(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        if parameter.ndim > 1:  # else what comes out hardly depends on what goes in
            torch.nn.init.normal_(parameter, std=1.5 * parameter[0].numel() ** -0.5)
    return Model(name, WeightsConfig(model=config, sha256="0" * 64), {CPU: network})


@pytest.fixture(params=VIDEO)
def model(request):
    return build(request.param)


@pytest.fixture(params=AUDIO)
def voice(request):
    return build(request.param)


def codes(model, seed, steps):
    rng = np.random.default_rng(seed)
    config = model.config
    return Codes(
        rng.normal(size=config.content_dim).astype(np.float32),
        rng.normal(size=(steps, config.motion_dim)).astype(np.float32),
        np.eye(config.actions, dtype=np.float32)[seed % 3] if config.actions else None,
    )


def engine_of(model, **asked):
    library = Library()
    library.put(model)
    return Engine(library, [CPU], **asked)


def arrays(value):
    if isinstance(value, (np.ndarray, float)):
        return [np.asarray(value)]
    if isinstance(value, (tuple, list)):
        return [array for part in value for array in arrays(part)]
    return [] if value is None else arrays(list(vars(value).values()))


def assert_same(one, other):
    """Codes to 1e-4, pixels to a level."""
    assert len(arrays(one)) == len(arrays(other)) > 0
    for a, b in zip(arrays(one), arrays(other), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if a.dtype == np.uint8:
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1
        else:
            np.testing.assert_allclose(a, b, atol=1e-4)


@torch.inference_mode()
def test_answers_do_not_depend_on_what_else_is_asked(model):
    """Alone without an engine; all together, other verbs and lengths among them; and in passes of few frames."""
    given = codes(model, 1, 5)
    asked = [
        *(Encode(moving(seed, 5)) for seed in range(2)),
        *(Encode(moving(seed, 5), seed=seed) for seed in range(2)),
        Swap(moving(2, 5), moving(3, 3), both=True),
        Swap(moving(4, 5), moving(5, 5)),
        *(Decode(codes(model, seed, 3 + 2 * seed)) for seed in range(2)),
        *(Generate(2, 5, seed) for seed in range(2)),
        Generate(3, 7, seed=5, z_c=given.z_c, z_m=given.z_m, action=given.action),
        Generate(1, 5, seed=6, temperature=0.5),
    ]
    alone = [type(work).run(model.networks[CPU], [work])[0] for work in asked]
    for most in (512, 12):
        engine = engine_of(model, max_batch_frames=most)
        with held(engine):
            futures = [engine.submit(model, work) for work in asked]
        for future, expected in zip(futures, alone, strict=True):
            assert_same(future.result().value, expected)
        engine.close()


@torch.inference_mode()
@pytest.mark.parametrize("most", [24, 512])
def test_a_long_clip_is_cut_without_a_trace(model, most):
    network, said = model.networks[CPU], codes(model, 2, 70)
    action = None if said.action is None else torch.from_numpy(said.action)[None]
    latents = Latents(torch.from_numpy(said.z_c)[None], torch.from_numpy(said.z_m)[None], action)
    whole = network.decode(latents)[0]
    target = moving(3, 70)
    pieces = decoding(network, latents, most)
    assert max(piece.cost for piece in pieces) <= min(most, PIECE)
    assert [piece.start for piece in pieces] == [0, *(piece.stop for piece in pieces)][:-1]
    frames = np.concatenate([DecodeFrames.run(network, [piece])[0] for piece in pieces])
    exact = (whole * 255).round().to(torch.uint8).movedim(1, -1).numpy()
    assert np.abs(frames.astype(int) - exact.astype(int)).max() <= 1
    judged = [DecodeFrames.run(network, [piece])[0] for piece in decoding(network, latents, most, target)]
    wanted = torch.from_numpy(target.copy()).movedim(-1, 1) / 255
    errors = (whole - wanted).square().flatten(1).mean(1).numpy()
    np.testing.assert_allclose(np.concatenate(judged), errors, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("name", VIDEO)
def test_lengths_share_a_pass_where_frames_have_no_memory(name):
    network = build(name).networks[CPU]
    latents = [network.sample(1, steps, torch.Generator().manual_seed(steps)) for steps in (3, 5)]
    pieces = [piece for each in latents for piece in decoding(network, each, 512)]
    assert (len({piece.shape for piece in pieces}) == 1) == (network.config.decoder != "recurrent")


@pytest.mark.parametrize("frames", [5, 70])
@torch.inference_mode()
def test_a_processor_draws_frames_as_the_clip_that_they_are(frames, monkeypatch):
    """Which is faster, the more so the more they are, and would show in nothing but the time it takes."""
    network, drawn = build("modulated").networks[CPU].prepare(), []
    latents = network.sample(1, frames, torch.Generator().manual_seed(0))
    draw = network.decode
    monkeypatch.setattr(network, "decode", lambda codes: drawn.append(codes.z_m.shape[:2]) or draw(codes))
    pieces = decoding(network, latents, 512)
    found = np.concatenate([DecodeFrames.run(network, [piece])[0] for piece in pieces])
    assert drawn == [(1, piece.cost) for piece in pieces]
    assert_same(found, (draw(latents)[0] * 255).round().to(torch.uint8).movedim(1, -1).numpy())


@torch.inference_mode()
def test_frames_that_are_judged_and_frames_that_are_shown_share_a_pass(model):
    network, target = model.networks[CPU], moving(1, 4)
    latents = network.sample(3, 4, torch.Generator().manual_seed(1))
    rows = [
        Latents(latents.z_c[i : i + 1], latents.z_m[i : i + 1], None if latents.action is None else latents.action[:1])
        for i in range(3)
    ]
    mixed = [decoding(network, row, 512, target if i == 1 else None)[0] for i, row in enumerate(rows)]
    together = DecodeFrames.run(network, mixed)
    for piece, found in zip(mixed, together, strict=True):
        assert_same(found, DecodeFrames.run(network, [piece])[0])
    assert [found.shape for found in together] == [(4, 64, 64, 3), (4,), (4, 64, 64, 3)]


@pytest.mark.parametrize("name", ["recurrent", "modulated"])
def test_costs_are_those_of_the_operations(name):
    model = build(name)
    network = model.networks[CPU]
    for work in (Encode(moving(1, 5)), Swap(moving(1, 3), moving(2, 5), both=True), Generate(3, 9, seed=1)):
        assert spent(work, network) == work.cost
    assert spent(Swap(moving(1, 3), moving(2, 5)), network) == 13
    assert spent(Decode(codes(model, 1, 70)), network) == 70


@torch.inference_mode()
def spent(work, network):
    plan = work.plan(network, 512)
    operations, cost = next(plan), 0
    while True:
        cost += sum(operation.cost for operation in operations)
        try:
            operations = plan.send([type(operation).run(network, [operation])[0] for operation in operations])
        except StopIteration:
            return cost


def test_sound_is_the_same_to_the_bit_whatever_else_is_asked(voice):
    rng = np.random.default_rng(0)
    waves = [rng.normal(0, 0.1, 300 + 50 * number).astype(np.float32) for number in range(2)]
    works = [
        audio.Encode(waves[0]),
        audio.Encode(waves[1], seed=4),
        audio.Swap(*waves, both=True),
        audio.Decode(codes(voice, 1, 9)),
        audio.Generate(2, 12, seed=3),
    ]
    engine = engine_of(voice)
    alone = [engine.submit(voice, work).result().value for work in works]
    engine.library.put(build("recurrent"))
    with held(engine):
        futures = [engine.submit(voice, work) for work in works * 2]
    for future, work, expected in zip(futures, works * 2, alone * 2, strict=True):
        assert_same(type(work).run(voice.networks[CPU], [work])[0], expected)
        for a, b in zip(arrays(future.result().value), arrays(expected), strict=True):
            np.testing.assert_array_equal(a, b)
    engine.close()
    there, back = alone[2]
    assert (len(there), len(back)) == (350, 300)
    generated = alone[4]
    assert generated.clips.shape == (2, 120)
    assert not np.array_equal(generated.clips[0], generated.clips[1])


def test_pictures_are_not_asked_of_sound(voice):
    picture = build("recurrent").networks[CPU]
    with pytest.raises(ShapeError, match="pictures"):
        audio.Encode.run(picture, [audio.Encode(np.zeros(100, np.float32))])
    with pytest.raises(ShapeError):
        Encode.run(voice.networks[CPU], [Encode(moving(1))])
