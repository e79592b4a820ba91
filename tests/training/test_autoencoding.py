"""What the decoder is given and what is asked of it, term by term."""

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from rwae_core.config import ModelConfig
from rwae_core.latents import Latents
from rwae_core.mixture import Mixture
from rwae_core.model import RWAE
from training import objectives, preset
from training.algorithm import frozen
from training.autoencoding import Autoencoding
from training.critics import FrameDiscriminator
from training.datasets.batch import Batch
from training.preset import Preset


def clear(**views: object) -> tuple[Autoencoding, Batch]:
    """`librispeech-clear` on spectra of noise, without what draws new voices."""
    raw: dict[str, Any] = preset.load("librispeech-clear").model_dump()
    raw["model"] |= {"frames": 4, "hidden_dim": 16}
    raw["views"] |= {"content_windows": 2, "new_voices": False} | views
    torch.manual_seed(0)
    chosen = Preset.model_validate(raw)
    assert isinstance(chosen.model, ModelConfig)
    algorithm = Autoencoding(RWAE(chosen.model), chosen)
    clips, recording = torch.rand(6, 4, 200), torch.rand(6, 18, 4, 200)
    return algorithm, Batch(torch.arange(6), clips, {}, recording)


def terms(algorithm: Autoencoding, batch: Batch) -> dict[str, torch.Tensor]:
    return algorithm.terms(frozenset({"decoder"}), batch, torch.Generator().manual_seed(0), 0.5)


def test_the_decoder_says_means_of_codes_deeper_than_they_are() -> None:
    algorithm, batch = clear()
    found = terms(algorithm, batch)
    assert batch.recording is not None
    whole, others = batch.recording.flatten(1, 2), batch.recording[:, 2:].flatten(1, 2)
    of = torch.stack([others.mean(1), others.std(1, correction=0)], 1)
    codes = algorithm.model.infer(batch.clips, content_clip=whole, of=of, sample=False).latents
    mean, depth = others.mean(1, keepdim=True), algorithm.chosen.views.decoded_depth
    deep = mean + depth * (batch.clips - mean)
    said = algorithm.model.decode(codes)
    torch.testing.assert_close(found["reconstruction"], objectives.spectral_error(said, deep))

    exchanged = algorithm.model.decode(Latents(codes.z_c.roll(1, 0), codes.z_m))
    expected = objectives.spectral_error(exchanged, deep - mean + mean.roll(1, 0))
    torch.testing.assert_close(found["swap"], expected)


def test_draws_are_decoded_where_nothing_else_is_said() -> None:
    drawn, means = (terms(*clear(decoded_means=means)) for means in (False, True))
    assert drawn["reconstruction"] != means["reconstruction"]
    torch.testing.assert_close(drawn["motion_kl"], means["motion_kl"])  # the prior learns of draws either way


def test_what_cannot_be_had_is_refused() -> None:
    raw = preset.load("librispeech-clear").model_dump()
    learns_all = {"learns": ("critic", "encoder", "action", "decoder")}
    with pytest.raises(ValueError, match="learns = \\['decoder'\\]"):
        Preset.model_validate(raw | {"schedule": raw["schedule"] | learns_all})
    for change in ({"objective": raw["objective"] | {"swap": 0}}, {"views": raw["views"] | {"decoded_depth": 1}}):
        changed = raw | change
        changed |= {"views": changed["views"] | {"content_windows": 0}}
        with pytest.raises(ValueError, match=r"set views\.content_windows"):
            Preset.model_validate(changed)


def people(name: str, **views: object) -> tuple[Autoencoding, Batch]:
    """A preset of human actions with narrow networks, on clips of noise."""
    raw: dict[str, Any] = preset.load(name).model_dump()
    raw["model"] |= {"frames": 3, "hidden_dim": 16, "patch_widths": (4, 4, 4), "content_components": 2}
    raw["model"]["frame_networks"] |= {"encoder_widths": (4, 4, 4), "decoder_widths": (4, 4, 4, 4)}
    raw["views"] |= views
    torch.manual_seed(0)
    chosen = Preset.model_validate(raw)
    assert isinstance(chosen.model, ModelConfig)
    clips = torch.rand(8, 3, 3, 64, 64)
    return Autoencoding(RWAE(chosen.model), chosen), Batch(torch.arange(8), clips, {}, clips.roll(1, 0)[:, None])


@pytest.mark.parametrize(("name", "anew"), [("human-actions-named", True), ("human-actions-apart", False)])
def test_what_names_the_actions_of_codes_at_rest_begins_anew(name: str, anew: bool) -> None:
    algorithm, batch = people(name)
    posterior = algorithm.model.action_posterior
    assert posterior is not None
    before = [parameter.clone() for parameter in posterior.parameters()]
    algorithm.start(lambda: batch, lambda: batch, frozenset(dict(algorithm.model.named_children())))
    same = [torch.equal(a, b) for a, b in zip(before, posterior.parameters(), strict=True)]
    assert not any(same) if anew else all(same)


@pytest.mark.parametrize(
    ("name", "given", "fitted"),
    [
        ("human-actions-likely", True, True),
        ("human-actions-named", True, False),
        ("human-actions-poses", True, False),
        ("human-actions-poses", False, True),
    ],
)
def test_the_prior_of_content_is_fitted_where_it_is_new_or_its_codes_rest(name: str, given: bool, fitted: bool) -> None:
    algorithm, batch = people(name)
    model = algorithm.model.eval()
    before, parts = model.content_prior.mean.clone(), dict(model.named_children())
    algorithm.start(lambda: batch, lambda: batch, frozenset(parts if given else parts.keys() - {"content_prior"}))
    codes = model.infer(batch.clips, sample=False).content
    assert torch.equal(model.content_prior.mean, before) != fitted
    if fitted:
        weights = model.content_prior.logits.softmax(0)
        torch.testing.assert_close(weights @ model.content_prior.mean, codes.mean.mean(0), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("learns", "given", "fitted"),
    [(["prior"], True, True), (["encoder", "decoder"], True, False), (["encoder", "decoder"], False, True)],
)
def test_a_residual_prior_of_motion_is_fitted_where_it_is_new_or_its_codes_rest(
    learns: list[str], given: bool, fitted: bool
) -> None:
    raw: dict[str, Any] = preset.load("moving-shapes-likely").model_dump()
    raw["model"] |= {"frames": 3, "hidden_dim": 16, "patch_widths": (4, 4, 4), "prior_components": 2}
    raw["model"]["frame_networks"] |= {"encoder_widths": (4, 4, 4), "decoder_widths": (4, 4, 4, 4)}
    raw["schedule"] |= {"learns": learns}
    torch.manual_seed(0)
    chosen = Preset.model_validate(raw)
    assert isinstance(chosen.model, ModelConfig)
    clips = torch.rand(8, 3, 3, 64, 64)
    algorithm, batch = Autoencoding(RWAE(chosen.model), chosen), Batch(torch.arange(8), clips, {})
    model = algorithm.model.eval()
    before, parts = {name: w.clone() for name, w in model.prior.head.named_parameters()}, dict(model.named_children())
    algorithm.start(lambda: batch, lambda: batch, frozenset(parts if given else parts.keys() - {"prior"}))
    assert all(torch.equal(before[name], w) for name, w in model.prior.head.named_parameters()) != fitted
    if fitted:
        codes, said = model.infer(clips, sample=False).motion.mean, model.motion_prior(torch.zeros(1, 1, 12))
        assert isinstance(said, Mixture)
        step = (said.log_weights.exp()[..., None] * said.components.mean).sum(-2).flatten()
        torch.testing.assert_close(step, (codes[:, 1] - codes[:, 0]).mean(0), atol=1e-5, rtol=1e-4)


def test_swaps_are_asked_for_the_action_of_their_motion_and_the_decoder_alone_pays() -> None:
    algorithm, batch = people("human-actions-sharp", new_clips=0)
    model = algorithm.model
    algorithm.learn(frozenset({"decoder"}))
    found = terms(algorithm, batch)
    latents = model.infer(
        batch.clips,
        content_clip=algorithm.seen(batch, (generator := torch.Generator().manual_seed(0))).content,
        generator=generator,
        action_temperature=0.5,
    ).latents
    assert latents.action is not None
    expected = algorithm.action_cycle(latents, torch.Generator())
    swapped = model.decode(Latents(latents.z_c.roll(1, 0)[::4], latents.z_m[::4], latents.action[::4]))
    seen = model.encode_motion(swapped.clamp(0, 1)).action
    assert seen is not None
    torch.testing.assert_close(expected, objectives.action_cycle(seen, latents.action[::4]))
    found["action_cycle"].backward()
    assert all(parameter.grad is None for parameter in model.motion_posterior.parameters())
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in model.decoder.parameters())


def test_a_share_of_the_clips_is_new() -> None:
    for share, changed in ((0.0, {0}), (0.5, set(range(1, 8))), (1.0, {8})):
        algorithm, batch = people("human-actions-sharp", new_clips=share)
        clip = algorithm.seen(batch, torch.Generator().manual_seed(0)).clip
        assert (clip != batch.clips).flatten(1).any(1).sum().item() in changed


def test_content_of_a_share_of_the_clips_is_seen_elsewhere_in_the_same_new_clip() -> None:
    algorithm, batch = people("human-actions-sharp", content_elsewhere=0.5, content_mirrored=False, new_clips=0)
    alike = 0.5 * batch.clips.roll(1, 0)
    seen = algorithm.seen(replace(batch, look_alikes=alike), torch.Generator().manual_seed(0))
    assert torch.equal(seen.clip, batch.clips)

    def of(clips: Tensor) -> Tensor:
        """Whether each clip's content frames are of these."""
        return (seen.content[:, :, None] - clips[:, None]).flatten(3).abs().amax(3).amin(2).amax(1) == 0

    assert torch.equal(of(alike), ~of(batch.clips))
    assert 0 < of(alike).sum() < len(alike)

    algorithm, _ = people("human-actions-sharp", content_elsewhere=1, content_mirrored=False, new_clips=1)
    seen = algorithm.seen(replace(batch, look_alikes=batch.clips), torch.Generator().manual_seed(0))
    assert (seen.clip != batch.clips).flatten(1).any(1).all()
    assert of(seen.clip).all(), "both are shifted and coloured alike"


def drawing() -> tuple[Autoencoding, Batch]:
    """`human-actions-sharp` with its discriminator of frames, on clips as they are."""
    algorithm, batch = people("human-actions-sharp", new_clips=0, decoded_frames=2)
    assert algorithm.critics.frames is not None
    return algorithm, batch


def moved(modules: list[torch.nn.Module]) -> bool:
    return any(each.grad is not None and bool(each.grad.any()) for module in modules for each in module.parameters())


def test_frames_that_are_decoded_swapped_and_of_the_priors_are_to_pass_for_filmed_ones() -> None:
    algorithm, batch = drawing()
    algorithm.learn(frozenset({"decoder", "critic"}))
    parts = algorithm.parts()
    _, (filmed, drawn), found = algorithm.model_terms(batch, torch.Generator().manual_seed(0), 0.5)
    assert filmed.frames.shape == (8, 2, 3, 64, 64)
    assert drawn.frames.shape == (16, 2, 3, 64, 64)
    z_c, z_m, action = drawn.codes.z_c, drawn.codes.z_m, drawn.codes.action
    assert action is not None
    torch.testing.assert_close(action.sum(1), torch.ones(16))
    assert action[12:].eq(0).logical_or(action[12:].eq(1)).all()  # the priors' are certain
    # Swaps have every other clip's motion with the content of the one before it.
    assert torch.equal(z_m[8:12], z_m[0:8:2])
    assert torch.equal(action[8:12], action[0:8:2])
    assert torch.equal(z_c[8:12], z_c[[7, 1, 3, 5]])
    assert (z_c[12:, None] - z_c[None, :12]).abs().amax(2).min() > 1e-3
    assert (batch.clips[:, None] - filmed.frames[:, :, None]).abs().flatten(3).amax(3).amin(2).max() == 0

    with frozen(algorithm.critics):
        found["frame_gan"].backward()
    assert moved(parts["decoder"])

    algorithm.zero_grad()
    found = algorithm.terms(frozenset({"decoder", "critic"}), batch, torch.Generator().manual_seed(0), 0.5)
    found["frame_gan"].backward(retain_graph=True)
    assert not moved(parts["critic"])
    algorithm.zero_grad()
    found["frame_critic"].backward()
    assert moved(parts["critic"])
    assert not moved(parts["decoder"])


def test_the_critic_of_content_climbs_the_term_that_codes_descend() -> None:
    raw: dict[str, Any] = preset.load("sprites").model_dump()
    raw["model"] |= {"frames": 3, "hidden_dim": 16, "patch_widths": (4, 4, 4)}
    raw["model"]["frame_networks"] |= {"encoder_widths": (4, 4), "decoder_widths": (4, 4, 4, 4)}
    torch.manual_seed(0)
    chosen = Preset.model_validate(raw)
    assert isinstance(chosen.model, ModelConfig)
    algorithm = Autoencoding(RWAE(chosen.model), chosen).eval()  # in training, spectral norms move with every look
    batch = Batch(torch.arange(8), torch.rand(8, 3, 3, 64, 64), {})
    critic, encoder = algorithm.critics.content, algorithm.model.content_posterior
    assert critic is not None

    def term() -> Tensor:
        found = algorithm.terms(frozenset({"critic", "encoder"}), batch, torch.Generator().manual_seed(0), 0.5)
        return found["content_mmd"]

    before = term()
    before.backward()
    for module, way in ((critic, 1), (encoder, -1)):
        kept = copy.deepcopy(module.state_dict())
        with torch.no_grad():
            length = torch.stack([parameter.grad.square().sum() for parameter in module.parameters()]).sum().sqrt()
            for parameter in module.parameters():
                parameter.sub_(1e-3 / length * parameter.grad)  # what an optimiser does
        assert way * (term() - before).item() > 0
        module.load_state_dict(kept)


@pytest.mark.parametrize("of", ["action", "content"])
def test_the_discriminator_tells_filmed_frames_and_what_they_are_said_to_be_of(of: str) -> None:
    torch.manual_seed(0)
    discriminator = FrameDiscriminator(3, 64, 2, 5)
    optimiser = torch.optim.Adam(discriminator.parameters(), lr=2e-3)
    said = torch.eye(2).repeat(2, 1)
    same = torch.zeros(4, 1, 1)

    def codes(said: Tensor) -> Latents:
        if of == "action":
            return Latents(torch.zeros(4, 5), same, said)
        return Latents(functional.pad(said, (1, 2)), same, torch.full((4, 2), 0.5))

    # Left halves are bright in one, right halves in the other; what is drawn is said to be of the other.
    frames = torch.zeros(4, 1, 3, 64, 64)
    frames[::2, ..., :32] = 1
    frames[1::2, ..., 32:] = 1
    for _ in range(60):
        filmed, drawn = discriminator(frames, codes(said)), discriminator(frames, codes(said.flip(1)))
        loss = objectives.discriminator_loss(filmed, drawn)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.5 < 2 * math.log(2)


def test_both_scales_of_the_discriminator_have_as_much_say() -> None:
    discriminator = FrameDiscriminator(1, 32, 0, 5)
    logits = discriminator(torch.rand(2, 3, 1, 32, 32), Latents(torch.randn(2, 5), torch.zeros(2, 1, 1)))
    assert logits.shape == (2, 3, 64 + 64)
    torch.testing.assert_close(logits[..., 64:80], logits[..., 112:])


def test_what_the_prior_draws_for_an_action_is_asked_for_it_and_the_prior_alone_pays() -> None:
    algorithm, batch = drawing()
    algorithm.learn(frozenset({"decoder", "prior"}))
    found = terms(algorithm, batch)
    model = algorithm.model
    assert model.action_posterior is not None
    found["drawn_action"].backward()
    assert moved([model.prior])
    assert not moved([model.decoder, model.content_prior, model.action_posterior])

    latents = model.encode(batch.clips)
    drawn = model.sample(32, 3, torch.Generator().manual_seed(3))
    assert drawn.action is not None
    seen = model.action_posterior(drawn.z_m).softmax(-1)
    expected = -(seen.log() * drawn.action).sum(1).mean()
    torch.testing.assert_close(algorithm.drawn_action(latents, torch.Generator().manual_seed(3)), expected)


def test_a_discriminator_of_frames_that_cannot_be_had_is_refused() -> None:
    raw = preset.load("human-actions-sharp").model_dump()
    with pytest.raises(ValueError, match="'critic' in the schedule's learns"):
        Preset.model_validate(raw | {"schedule": raw["schedule"] | {"learns": ("decoder",)}})
    raw = preset.load("librispeech").model_dump()
    with pytest.raises(ValueError, match="leave it out for speech"):
        Preset.model_validate(raw | {"objective": raw["objective"] | {"frame_gan": 1.0}})
    raw = preset.load("sprites").model_dump()
    with pytest.raises(ValueError, match="drawn_action"):
        Preset.model_validate(raw | {"objective": raw["objective"] | {"drawn_action": 1.0}})


def test_the_priors_learn_with_the_decoder_or_alone_and_that_of_content_where_a_term_teaches_it() -> None:
    sharp, likely, named, poses = (people(f"human-actions-{name}")[0] for name in ("sharp", "likely", "named", "poses"))
    assert sharp.phases == (frozenset({"decoder", "critic", "prior"}),)
    assert likely.phases == (frozenset({"prior"}),)
    assert poses.phases == (frozenset({"critic", "encoder", "action", "decoder", "prior", "content_prior"}),)
    assert named.phases == (frozenset({"action"}),)
    assert likely.parts()["prior"] == [likely.model.prior]
    assert likely.parts()["content_prior"] == [likely.model.content_prior]
