"""FHVAE: its verbs, its terms against slow float64 references, its s-vector, and that it learns who speaks."""

import json
import math
from pathlib import Path

import pytest
import torch
from torch.distributions import Normal

from rwae_core.errors import ShapeError, UnsupportedError
from rwae_core.gaussian import Gaussian
from rwae_core.latents import Latents
from training import checkpoint, methods, objectives, preset
from training.baselines.fhvae import FHVAE, FHVAEConfig, sequence_mean
from training.datasets.batch import Batch, random_batch
from training.hierarchical import Hierarchical
from training.preset import Preset
from training.sequence_model import SequenceModel
from training.train import train

SMALL = FHVAEConfig(frames=8, bins=40, content_dim=6, motion_dim=3, hidden_dim=16)
BOTH = frozenset({"encoder", "decoder"})


class Voices:
    """Harmonics under formants: each utterance has one speaker's pitch and size, and vowels every 2 to 6 columns."""

    frames, fps, frame_shape, device = 8, 100.0, (40,), torch.device("cpu")
    columns = 60

    def __init__(self, speakers: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        hertz = 100.0 * torch.arange(1, 41)
        vowels = torch.tensor([[700.0, 1200], [300, 2200], [300, 900], [450, 1900], [450, 800]])
        self.spectra = torch.empty(speakers, self.columns, 40)
        for speaker in range(speakers):
            pitch, size, level = (torch.rand(3, generator=generator) * torch.tensor([300, 0.4, 0.3])).tolist()
            said = torch.randint(5, (self.columns,), generator=generator)
            said = said.repeat_interleave(torch.randint(2, 7, (self.columns,), generator=generator))[: self.columns]
            centres = vowels[said] * (0.9 + size)
            envelope = torch.exp(-((hertz - centres[..., None]) ** 2) / (2 * 250**2)).sum(1)
            comb = 0.5 + 0.5 * torch.cos(2 * math.pi * hertz / (250 + pitch))
            noise = 0.1 * torch.rand(self.columns, 40, generator=generator)
            self.spectra[speaker] = (0.5 + level) * envelope * (0.5 + 0.5 * comb) + noise
        self.spectra.clamp_(0, 1)
        self.windows = self.columns - self.frames + 1

    def __len__(self) -> int:
        return len(self.spectra) * self.windows

    def labels(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"utterance": indices // self.windows}

    def clips(self, indices: torch.Tensor) -> torch.Tensor:
        steps = (indices % self.windows)[:, None] + torch.arange(self.frames)
        return self.spectra[(indices // self.windows)[:, None], steps]


class Unlabelled(Voices):
    def labels(self, indices: torch.Tensor) -> dict[str, torch.Tensor]:
        del indices
        return {}


def chosen(iterations: int = 2, **objective: float) -> Preset:
    weights = {"motion_kl": 1, "content_kl": 1, "sequence_prior": 1, "discriminative": 10, **objective}
    rates = dict.fromkeys(("encoder_rate", "decoder_rate", "critic_rate"), 3e-3)
    return Preset.model_validate(
        {
            "name": "small",
            "about": "FHVAE, small",
            "dataset": "librispeech",
            "model": SMALL.model_dump(),
            "objective": weights,
            "schedule": {"iterations": iterations, "batch": 32, "decay": "cosine", "betas": (0.9, 0.99), **rates},
        }
    )


@pytest.fixture(scope="module")
def model() -> FHVAE:
    torch.manual_seed(0)
    return FHVAE(SMALL).eval()


@pytest.fixture
def algorithm() -> Hierarchical:
    torch.manual_seed(0)
    made = methods.algorithm(chosen(), Voices(5, seed=0))
    assert isinstance(made, Hierarchical)
    return made


def clips(n: int = 3, steps: int = 4, seed: int = 1) -> torch.Tensor:
    return torch.rand(n, steps, 40, generator=torch.Generator().manual_seed(seed))


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def seeded(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def batch(data: Voices, n: int = 16) -> Batch:
    return random_batch(data, n, torch.Generator().manual_seed(0))


# The verbs.


@pytest.mark.parametrize("steps", [1, 4, 11])
def test_any_length_comes_back_with_values_in_0_to_1(model: FHVAE, steps: int) -> None:
    clip = clips(2, steps)
    codes = model.encode(clip)
    assert isinstance(model, SequenceModel)
    assert codes.z_c.shape == (2, 6)
    assert codes.z_m.shape == (2, steps, 3)
    assert torch.equal(codes.z_m, codes.z_m[:, :1].expand_as(codes.z_m))
    back = model.decode(codes)
    assert back.shape == clip.shape
    assert 0 <= back.min() <= back.max() <= 1
    assert model.generate(2, steps).shape == clip.shape


def test_each_code_reaches_the_spectrum(model: FHVAE) -> None:
    a, b = model.encode(clips(1)), model.sample(1, 4, torch.Generator().manual_seed(3))
    own = model.decode(a)
    assert (model.decode(Latents(b.z_c, a.z_m)) - own).abs().max() > 1e-4
    assert (model.decode(Latents(a.z_c, b.z_m)) - own).abs().max() > 1e-4


def test_the_prior_of_z_2_is_its_marginal_over_sequences_and_that_of_z_1_is_standard(model: FHVAE) -> None:
    drawn = model.sample(20_000, 2, torch.Generator().manual_seed(0))
    for code, variance in ((drawn.z_c, 1.25), (drawn.z_m[:, 0], 1.0)):
        assert code.mean().item() == pytest.approx(0, abs=0.02)
        assert code.var().item() == pytest.approx(variance, rel=0.02)
    cold = model.sample(2, 2, temperature=0.0)
    assert not cold.z_c.any()
    assert not cold.z_m.any()


def test_fixed_codes_are_kept_and_do_not_change_the_other(model: FHVAE) -> None:
    codes, free = model.encode(clips()), model.sample(3, 6, seeded(1, 2, 3))
    kept = model.sample(3, 6, seeded(1, 2, 3), z_c=codes.z_c)
    assert torch.equal(kept.z_c, codes.z_c)
    assert torch.equal(kept.z_m, free.z_m)
    kept = model.sample(3, 6, seeded(1, 2, 3), z_m=codes.z_m)
    assert torch.equal(kept.z_c, free.z_c)
    torch.testing.assert_close(kept.z_m, codes.z_m[:, :1].expand(-1, 6, -1))


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_does_not_fit_is_refused_in_words(model: FHVAE) -> None:
    for shape in ((2, 0, 40), (2, 4, 39), (2, 4, 1, 40)):
        with pytest.raises(ShapeError, match=r"T ≥ 1, 40"):
            model.encode(torch.zeros(shape))
    with pytest.raises(ShapeError, match="this model has"):
        model.decode(Latents(torch.zeros(1, 5), torch.zeros(1, 4, 3)))
    with pytest.raises(ShapeError, match="this model has"):
        model.decode(Latents(torch.zeros(1, 6), torch.zeros(1, 4, 3), torch.ones(1, 2)))
    with pytest.raises(ShapeError, match="no step"):
        model.decode(Latents(torch.zeros(1, 6), torch.zeros(1, 0, 3)))
    with pytest.raises(ShapeError, match="at least 1"):
        model.sample(1, 0)
    with pytest.raises(ShapeError, match="z_m has 2 rows"):
        model.sample(1, 4, z_m=torch.zeros(2, 4, 3))
    with pytest.raises(UnsupportedError, match="can encode"):
        model.sample(1, 4, action=torch.ones(1, 2))


# The terms.


def test_the_likelihood_is_a_normal_density() -> None:
    found, clip = Gaussian(draw(3, 4, 5), draw(3, 4, 5, seed=1).exp()), draw(3, 4, 5, seed=2)
    expected = 0.0
    for mean, std, x in zip(*(values.flatten().tolist() for values in (found.mean, found.std, clip)), strict=True):
        expected += (x - mean) ** 2 / (2 * std**2) + math.log(std * math.sqrt(2 * math.pi))
    assert objectives.negative_log_likelihood(found, clip).item() == pytest.approx(expected / 3, rel=1e-12)


def test_the_prior_of_a_sequence_counts_once_over_its_segments() -> None:
    table, segments = draw(3, 4), torch.tensor([2, 5, 1])
    sequences = torch.arange(3).repeat_interleave(segments)
    found = objectives.sequence_prior(table[sequences], segments[sequences]).item()
    expected = -sum(Normal(0, 1).log_prob(mean).item() for mean in table.flatten())
    assert found * len(sequences) == pytest.approx(expected, rel=1e-9)


def test_the_discriminative_term_is_the_posterior_of_the_sequence() -> None:
    z_c, table, sequences, std = draw(5, 3), draw(4, 3, seed=1), torch.tensor([0, 3, 1, 3, 2]), 0.5
    expected = 0.0
    for z, i in zip(z_c, sequences, strict=True):
        densities = [Normal(mean, std).log_prob(z).sum().exp().item() for mean in table]
        expected -= math.log(densities[i] / sum(densities)) / 5
    assert objectives.discriminative(z_c, table, std, sequences).item() == pytest.approx(expected, rel=1e-9)
    same = objectives.discriminative(z_c, table[:1].expand(4, -1), std, sequences).item()
    assert same == pytest.approx(math.log(4))
    assert objectives.discriminative(8 * table, 8 * table, std, torch.arange(4)).item() < 1e-6


def test_gradients_agree_with_finite_differences() -> None:
    a, b = draw(3, 2, 2).requires_grad_(), draw(3, 2, 2, seed=1).requires_grad_()
    sequences = torch.tensor([0, 2, 2])
    assert torch.autograd.gradcheck(
        lambda x, s: objectives.negative_log_likelihood(Gaussian(x, s.exp()), s.sin()), (a, b)
    )
    assert torch.autograd.gradcheck(lambda m: objectives.sequence_prior(m[:, 0], sequences + 1), (a,))
    assert torch.autograd.gradcheck(lambda z, m: objectives.discriminative(z[:, 0], m[:, 0], 0.5, sequences), (a, b))


def test_the_terms_are_those_of_the_bound(algorithm: Hierarchical) -> None:
    """With the divergences by their formulas, the table by hand, and the segments counted one by one."""
    data = Voices(5, seed=0)
    some = batch(data)
    found = algorithm.terms(BOTH, some, torch.Generator().manual_seed(1), 0.0)
    inference = algorithm.model.infer(some.clips, generator=torch.Generator().manual_seed(1))
    means = torch.stack([algorithm.sequence_means.weight[i] for i in some.labels["utterance"]])

    def kl(q: Gaussian, mean: torch.Tensor, std: float) -> float:
        ratio = torch.distributions.kl_divergence(Normal(q.mean, q.std), Normal(mean, std))
        return ratio.sum().item() / len(mean)

    assert found["motion_kl"].item() == pytest.approx(kl(inference.motion, torch.zeros(16, 3), 1), rel=1e-5)
    assert found["content_kl"].item() == pytest.approx(kl(inference.content, means, 0.5), rel=1e-5)
    segments = (data.labels(torch.arange(len(data)))["utterance"] == 2).sum().item()
    assert algorithm.segments.tolist() == [segments] * 5
    prior = -Normal(0, 1).log_prob(means).sum().item() / len(means) / segments
    assert found["sequence_prior"].item() == pytest.approx(prior, rel=1e-5)
    likelihood = algorithm.model.likelihood(inference.latents)
    expected = -Normal(likelihood.mean, likelihood.std).log_prob(some.clips).sum().item() / 16
    assert found["reconstruction"].item() == pytest.approx(expected, rel=1e-5)


def test_the_s_vector_is_the_mean_of_the_sequence_where_its_posterior_is_highest() -> None:
    z_c = draw(7, 4)
    guess = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([guess], tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def surprise() -> torch.Tensor:
        optimiser.zero_grad()
        value = -Normal(0, 1).log_prob(guess).sum() - Normal(guess, 0.5).log_prob(z_c).sum()
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(surprise)
    torch.testing.assert_close(sequence_mean(z_c), guess.detach(), rtol=1e-8, atol=1e-10)


# Training.


def test_gradients_reach_every_parameter_of_each_part_and_no_part_is_left_out(algorithm: Hierarchical) -> None:
    parts = algorithm.parts()
    assert set(parts) == BOTH == algorithm.phases[0]
    listed = [p for modules in parts.values() for module in modules for p in module.parameters()]
    assert sorted(map(id, listed)) == sorted(map(id, algorithm.parameters()))
    terms = algorithm.terms(BOTH, batch(Voices(5, seed=0)), torch.Generator().manual_seed(0), 0.0)
    torch.stack([*terms.values()]).sum().backward()
    without = [name for name, p in algorithm.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert algorithm.sequence_means.weight.grad is not None
    assert algorithm.sequence_means.weight.grad.any(1).all()


def test_the_table_is_no_part_of_the_model(algorithm: Hierarchical) -> None:
    assert algorithm.sequence_means.weight.shape == (5, 6)
    assert not any("sequence" in name for name in algorithm.model.state_dict())
    assert "sequence_means.weight" in algorithm.state_dict()


def test_without_utterances_each_clip_is_its_own_sequence() -> None:
    data = Unlabelled(2, seed=0)
    made = Hierarchical(FHVAE(SMALL), chosen(), data)
    assert made.segments.tolist() == [1] * len(data)
    assert made.terms(BOTH, batch(data), torch.Generator(), 0.0)["discriminative"].isfinite()


def test_the_first_batch_sets_mean_and_deviation_of_each_bin(algorithm: Hierarchical) -> None:
    some = batch(Voices(5, seed=0), 200)
    some.clips[..., 7] = 0.25
    algorithm.start(lambda: some, lambda: some, frozenset())
    model = algorithm.model
    seen = (some.clips - model.frame_mean) / model.frame_std
    others = torch.arange(40) != 7
    torch.testing.assert_close(seen.mean((0, 1)), torch.zeros(40), atol=1e-4, rtol=0)
    torch.testing.assert_close(seen.std((0, 1))[others], torch.ones(39), atol=1e-4, rtol=0)
    assert model.frame_std[7] == pytest.approx(0.01)


def test_two_steps_of_the_loop_leave_a_model_that_can_be_loaded(tmp_path: Path) -> None:
    data = Voices(5, seed=0)
    train(chosen(), data, Voices(2, seed=1), tmp_path, device=torch.device("cpu"), seed=0)
    state, model = checkpoint.load(tmp_path), checkpoint.load_model(tmp_path)
    assert state is not None
    assert state["algorithm"]["sequence_means.weight"].shape == (5, 6)
    assert isinstance(model, FHVAE)
    torch.testing.assert_close(model.frame_mean, state["algorithm"]["model.frame_mean"])
    line = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[0])
    assert {"reconstruction", "motion_kl", "content_kl", "sequence_prior", "discriminative"} <= set(line)
    assert line["weight_discriminative"] == 10


def test_it_learns_to_tell_voices_it_has_not_heard_by_z_2_and_not_by_z_1(tmp_path: Path) -> None:
    """A window of the second half of an utterance is told by the nearest s-vector of 30 first halves."""
    train(chosen(250), Voices(30, seed=0), Voices(2, seed=1), tmp_path, device=torch.device("cpu"), seed=0)
    first, *_, last = [
        line for line in map(json.loads, (tmp_path / "log.jsonl").read_text().splitlines()) if "reconstruction" in line
    ]
    assert last["reconstruction"] < first["reconstruction"] - 30
    assert last["discriminative"] < first["discriminative"] - 3

    unheard, model = Voices(30, seed=2), checkpoint.load_model(tmp_path)
    assert isinstance(model, FHVAE)
    codes = model.encode(unheard.clips(torch.arange(len(unheard))))
    right = []
    for code in (codes.z_c, codes.z_m[:, 0]):
        known, told = code.unflatten(0, (30, -1)).tensor_split([unheard.windows // 2], 1)
        means = torch.stack([sequence_mean(z) for z in known])
        nearest = torch.cdist(told, means.expand(30, -1, -1)).argmin(2)
        right.append((nearest == torch.arange(30)[:, None]).float().mean().item())
    assert right[0] > 0.2
    assert right[1] < 0.15


@pytest.mark.parametrize("name", ["timit-fhvae", "librispeech-fhvae"])
def test_the_presets_have_the_dimensions_of_table_1(name: str) -> None:
    made = preset.load(name)
    assert made.model == FHVAEConfig(frames=20, fps=100, bins=200, content_dim=16, motion_dim=16, hidden_dim=256)
    assert made.objective.weights(0.01) == {
        "motion_kl": 1,
        "content_kl": 1,
        "sequence_prior": 1,
        "discriminative": 10,
    }
