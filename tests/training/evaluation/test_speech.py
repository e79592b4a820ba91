"""Speech is judged right where what is right is known: models that know, a real judge on real voices, real sound."""

import io
import os
from pathlib import Path

import pytest
import soundfile
import torch
from PIL import Image

from rwae_core.config import ModelConfig, SpectrumFrames
from rwae_core.gaussian import Gaussian
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.moments import moments
from rwae_core.recording import encode_recording
from tests.training.datasets.test_timit import record_timit
from tests.training.evaluation import chorus
from training.baselines.ds_vae import DSVAE, DSVAEConfig
from training.baselines.fhvae import FHVAE, FHVAEConfig, sequence_mean
from training.datasets.librispeech import LibriSpeech
from training.evaluation import speech
from training.evaluation.request import Request
from training.evaluation.speech import spoken
from training.evaluation.speech.figures import EXAMPLES, cross_generation, example
from training.evaluation.speech.resynthesis import round_trip
from training.evaluation.speech.verification import halves, probe_errors, trials
from training.evaluation.speech.voices import REQUIRED, Voices, pairs

REAL = Path(os.environ.get("RWAE_DATA", "../shared/data")) / "librispeech_mini"
SPECTRUM = SpectrumFrames(widths=(8, 8))
SMALL = {"frames": 20, "fps": 100, "content_dim": 6, "motion_dim": 3, "hidden_dim": 12, "frame_networks": SPECTRUM}
QUICK = Request("model", "R-WAE", quick=True)


def untrained(name: str) -> spoken.Speaking:
    torch.manual_seed(0)
    if name == "fhvae":
        return FHVAE(FHVAEConfig(content_dim=6, motion_dim=3, hidden_dim=12)).eval()
    if name == "ds-vae":
        return DSVAE(DSVAEConfig(**SMALL)).eval()
    ours = {"content_posterior": "pooled", "motion_input": "standardised", "decoder": "memoryless"}
    return RWAE(ModelConfig(**SMALL, **ours)).eval()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chorus.record(tmp_path_factory.mktemp("chorus"), speakers=4, utterances=6)


@pytest.fixture(scope="module")
def data(folder: Path) -> LibriSpeech:
    return LibriSpeech(folder, "test", frames=20)


def codes(content: torch.Tensor, motion: torch.Tensor) -> list[Latents]:
    return [Latents(z_c[None], z_m[None]) for z_c, z_m in zip(content, motion, strict=True)]


def test_content_that_is_the_speaker_has_no_error_and_motion_that_is_not_is_at_chance() -> None:
    generator = torch.Generator().manual_seed(0)
    speakers = torch.arange(120) % 12
    one_a_speaker = torch.eye(12)[speakers]
    known = codes(one_a_speaker, torch.randn(120, 30, 5, generator=generator))
    found = trials(known, speakers)
    assert (len(found.same), int(found.same.sum())) == (120 * 119 // 2, 12 * 45)
    errors = found.errors()
    assert errors["static_eer"] == 0
    assert errors["dynamic_eer"] == pytest.approx(50, abs=4)  # 540 pairs of one speaker
    assert errors["gap"] == errors["dynamic_eer"]


def test_all_pairs_of_an_utterance_are_compared_by_the_cosine_of_mean_codes() -> None:
    speakers = torch.tensor([0, 1, 0])
    generator = torch.Generator().manual_seed(1)
    content, motion = torch.randn(3, 4, generator=generator), torch.randn(3, 7, 2, generator=generator)
    found = trials(codes(content, motion), speakers)
    assert found.same.tolist() == [False, True, False]  # 0-1, 0-2, 1-2
    for place, (a, b) in enumerate([(0, 1), (0, 2), (1, 2)]):
        assert found.static[place] == pytest.approx(torch.cosine_similarity(content[a], content[b], 0).item(), abs=1e-6)
        means = motion[a].mean(0), motion[b].mean(0)
        assert found.dynamic[place] == pytest.approx(torch.cosine_similarity(*means, 0).item(), abs=1e-6)


def test_the_probe_hears_a_voice_in_how_motion_moves_where_its_mean_says_nothing() -> None:
    generator = torch.Generator().manual_seed(2)
    speakers = torch.arange(60) % 6
    motion = torch.randn(60, 200, 3, generator=generator)
    motion -= motion.mean(1, keepdim=True)
    reach = torch.tensor([[1, 1, 1], [3, 1, 1], [1, 3, 1], [1, 1, 3], [3, 3, 1], [1, 3, 3.0]])
    moving = codes(torch.randn(60, 4, generator=generator), motion * reach[speakers][:, None])
    found = probe_errors(moving, speakers)
    assert found["probe_z_m_error"] == 0
    assert found["probe_z_c_error"] > 50  # chance is 83


def test_every_other_utterance_of_a_speaker_is_a_reference() -> None:
    known, held = halves(torch.tensor([5, 5, 7, 5, 7, 7, 5]))
    assert known.tolist() == [0, 2, 3, 5]
    assert held.tolist() == [1, 4, 6]


def test_pairs_are_different_and_of_different_speakers() -> None:
    speakers, available = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 3, 5])
    drawn = pairs(speakers, available, 200, torch.Generator().manual_seed(0))
    assert sorted(drawn) == [(a, b) for a in (1, 2, 3, 5) for b in (1, 2, 3, 5) if speakers[a] != speakers[b]]
    assert pairs(speakers, available, 3, torch.Generator().manual_seed(0)) == drawn[:3]
    assert pairs(speakers, available, 200, torch.Generator().manual_seed(1)) != drawn


def test_a_model_that_knows_voice_and_words_is_found_to(data: LibriSpeech) -> None:
    found = speech.evaluate(chorus.Knowing(), "librispeech", data, QUICK)
    verified, carried, swapped = (found.section(name) for name in ("verification", "companions", "swap"))
    assert verified is not None
    assert carried is not None
    assert swapped is not None
    assert found.judge["voice"] == 100
    assert verified.values["static_eer"].mean == 0
    assert verified.values["dynamic_eer"].mean > 30
    assert carried.values["lsd_db"].mean == pytest.approx(0, abs=1e-4)
    assert carried.values["probe_z_c_error"].mean == 0
    assert swapped.values["content_voice"].mean == 100
    assert swapped.values["reconstructed_voice"].mean == 100
    assert swapped.values["motion_words"].mean == 100
    assert swapped.values["motion_words_centred"].mean == 100
    assert swapped.values["mcd_motion_centred_db"].mean < 0.4 * swapped.values["mcd_motion_db"].mean


def test_a_model_that_copies_motion_is_found_out(data: LibriSpeech) -> None:
    found = speech.evaluate(chorus.Knowing(copying=True), "librispeech", data, QUICK)
    verified, swapped = found.section("verification"), found.section("swap")
    assert verified is not None
    assert swapped is not None
    assert verified.values["dynamic_eer"].mean == 0
    assert verified.values["static_eer"].mean > 30
    assert swapped.values["content_voice"].mean == 0
    assert swapped.values["motion_words"].mean == 100
    assert swapped.values["mcd_motion_db"].mean < 1


def test_a_judge_who_cannot_tell_real_voices_judges_no_swap(tmp_path: Path) -> None:
    for speaker in range(3):
        for number in range(2):  # one voice, three names
            path = tmp_path / "test-other" / str(speaker) / "1" / f"{number}.flac"
            path.parent.mkdir(parents=True, exist_ok=True)
            wave = chorus.utterance(0, 10 * speaker + number)
            soundfile.write(path, (wave / wave.abs().max() / 1.1).numpy(), 16_000)
    found = speech.evaluate(chorus.Knowing(), "librispeech", LibriSpeech(tmp_path, "test", frames=20), QUICK)
    swapped = found.section("swap")
    assert found.judge["voice"] < REQUIRED
    assert swapped is not None
    assert "content_voice" not in swapped.values
    assert "judges no swap" in swapped.note


@pytest.mark.parametrize("name", ["ours", "ds-vae", "fhvae"])
def test_every_model_of_speech_goes_through_the_whole_protocol(folder: Path, name: str) -> None:
    found = speech.librispeech(untrained(name), folder, Request(name, "", quick=True), torch.device("cpu"))
    assert [section.name for section in found.sections] == ["verification", "companions", "swap", "resynthesis"]
    assert (found.dataset, found.clips) == ("librispeech", 24)
    for section in found.sections:
        for value in section.values.values():
            assert value.mean == pytest.approx(value.mean, abs=0)  # no NaN
    verified = found.section("verification")
    assert verified is not None
    assert "24 utterances by 4 speakers, 276 pairs, 60 of one speaker" in verified.note
    one = speech.librispeech(untrained(name), folder, Request(name, "", quick=True, table=1), torch.device("cpu"))
    assert one.sections == found.sections[:1]
    assert not speech.librispeech(untrained(name), folder, Request(name, "", table=2), torch.device("cpu")).sections


def test_timit_is_judged_on_the_18336_pairs_of_its_core_test_set(tmp_path: Path) -> None:
    request = Request("model", "FHVAE", table=1)
    found = speech.timit(untrained("fhvae"), record_timit(tmp_path, "NIST"), request, torch.device("cpu"))
    assert found.dataset == "timit"
    assert "192 utterances by 24 speakers, 18336 pairs, 672 of one speaker" in found.sections[0].note


def test_pieces_stand_in_for_utterances_where_speakers_have_one(data: LibriSpeech, tmp_path: Path) -> None:
    cut = spoken.spoken(data, 4)
    assert len(cut) == 4 * data.utterances
    whole = spoken.spoken(data)
    torch.testing.assert_close(torch.cat([piece.wave for piece in cut[4:8]]), whole[1].wave)
    alone = LibriSpeech(chorus.record(tmp_path, speakers=3, utterances=1), "test", frames=20)
    with pytest.raises(ValueError, match="needs two utterances"):
        speech.evaluate(untrained("fhvae"), "librispeech", alone, QUICK)
    found = speech.evaluate(untrained("fhvae"), "librispeech", alone, Request("m", "", table=1), pieces=4)
    assert "12 utterances by 3 speakers, 66 pairs, 18 of one speaker" in found.sections[0].note


def test_codes_are_those_of_the_service_and_of_the_authors_of_fhvae(data: LibriSpeech) -> None:
    spectrum = spoken.spoken(data)[0].spectrum[:37]
    model = untrained("ours")
    assert isinstance(model, RWAE)
    assert torch.equal(spoken.encode(model, spectrum).z_m, encode_recording(model, spectrum).z_m)
    baseline = untrained("fhvae")
    found = spoken.encode(baseline, spectrum)
    assert found.z_m.shape == (1, 37, 3)
    assert spoken.decode(baseline, found).shape == (37, 200)
    filled = torch.cat([spectrum, spectrum.flip(0)])[:40].unflatten(0, (2, 20))
    mean = sequence_mean(baseline.encode(filled).z_c)
    assert torch.cosine_similarity(found.z_c[0], mean, dim=0).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", ["ours", "fhvae"])
def test_nats_are_those_of_each_window(data: LibriSpeech, name: str) -> None:
    model, spectrum = untrained(name), spoken.spoken(data)[0].spectrum
    content, motion = spoken.nats(model, spectrum)
    assert content.shape == motion.shape == (10,)
    assert content.min() > 0
    assert motion.min() > 0
    window = spectrum[20:40][None]
    if isinstance(model, RWAE):
        inference = model.infer(window, of=moments(spectrum[None]), sample=False)
        prior = model.motion_prior(inference.latents.z_m)
        assert isinstance(prior, Gaussian)
        expected = torch.distributions.kl_divergence(
            *(torch.distributions.Normal(each.mean, each.std) for each in (inference.motion, prior))
        ).sum()
        assert motion[1].item() == pytest.approx(expected.item(), rel=1e-4)
    else:
        inference = model.infer(window, sample=False)
        posterior = torch.distributions.Normal(inference.content.mean, inference.content.std)
        expected = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.25**0.5)).sum()
        assert content[1].item() == pytest.approx(expected.item(), rel=1e-4)


def test_the_log_spectral_distance_is_in_db() -> None:
    spectrum = torch.full((7, 200), 0.5)
    assert spoken.log_spectral_distance(spectrum, spectrum + 0.03, chorus.CONFIG) == pytest.approx(3, rel=1e-4)


def test_resynthesis_is_intelligible_with_the_sources_phase_and_without() -> None:
    waves = [soundfile.read(EXAMPLES / f"voice_{name}.wav", dtype="float32")[0] for name in "ab"]
    sources = [spoken.Spoken(0, torch.from_numpy(wave), chorus.CONFIG) for wave in waves]
    found = round_trip(sources)
    assert found["stoi_with_phase"] >= 0.95
    assert found["stoi_without_phase"] >= 0.85
    assert found["lsd_with_phase_db"] < found["lsd_without_phase_db"] < 4


def test_figure_11_crosses_the_loudest_windows_and_shows_no_recording(data: LibriSpeech) -> None:
    picture = cross_generation(untrained("ours"), data, QUICK)
    assert (picture.name, picture.figure, picture.media_type) == ("cross-generation", 11, "image/png")
    assert "16 test utterances by 4 speakers" in picture.caption
    with Image.open(io.BytesIO(picture.data)) as image:
        assert min(image.size) > 600
    assert len(picture.data) < 300_000


def test_the_examples_swap_can_be_seen_and_heard() -> None:
    content, motion = (
        spoken.Spoken(
            0, torch.from_numpy(soundfile.read(EXAMPLES / f"voice_{name}.wav", dtype="float32")[0]), chorus.CONFIG
        )
        for name in "ab"
    )
    seen, heard = example(untrained("ours"), content, motion, QUICK)
    with Image.open(io.BytesIO(seen.data)) as image:
        assert image.format == "PNG"
    wave, rate = soundfile.read(io.BytesIO(heard.data))
    assert (len(wave), rate) == (len(motion.wave), 16_000)
    assert heard.file == "swap-voices-sound.wav"


def test_pictures_are_drawn_as_far_as_their_figure_is_wanted(folder: Path) -> None:
    def names(figure: int | None) -> list[str]:
        drawn = speech.draw(untrained("fhvae"), "librispeech", folder, QUICK, torch.device("cpu"), figure=figure)
        return [picture.name for picture in drawn]

    assert names(None) == ["cross-generation", "det", "swap-voices", "swap-voices-sound"]
    assert names(11) == ["cross-generation"]
    assert names(2) == []


def test_a_speaker_without_reference_is_named() -> None:
    wave = torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    with pytest.raises(ValueError, match=r"speakers \[1\] have no reference"):
        Voices([spoken.Spoken(speaker, wave, chorus.CONFIG) for speaker in (0, 2)])


def test_the_judge_is_right_about_real_voices() -> None:
    if not REAL.is_dir():
        pytest.skip(f"no LibriSpeech in {REAL}; set RWAE_DATA to the folder that holds librispeech_mini/")
    utterances = spoken.spoken(LibriSpeech(REAL, "test"))
    known, held = halves(torch.tensor([each.speaker for each in utterances]))
    judge = Voices([utterances[index] for index in known.tolist()])
    assert judge.accuracy([utterances[index] for index in held.tolist()]) >= REQUIRED
