"""LibriSpeech and TIMIT: verification from each code, what motion still carries, swaps, and resynthesis."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from rwae_core.latents import Latents
from training.datasets.librispeech import LibriSpeech
from training.datasets.timit import TIMIT
from training.datasets.utterances import Utterances
from training.evaluation.findings import Evaluation, Section, without_spread
from training.evaluation.request import Request
from training.evaluation.speech import resynthesis, swaps, voices
from training.evaluation.speech.spoken import Speaking, Spoken, decode, encode, log_spectral_distance, nats, spoken
from training.evaluation.speech.verification import halves, probe_errors, trials

SWAPS, SWAPS_QUICK = 200, 40
RESYNTHESISED, RESYNTHESISED_QUICK = 20, 5
TABLE = 1


def librispeech(model: Speaking, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """LibriSpeech's test speakers; see `evaluate`."""
    data = LibriSpeech(data_folder, "test", device, frames=model.config.frames)
    return evaluate(model, "librispeech", data, request)


def timit(model: Speaking, data_folder: Path, request: Request, device: torch.device) -> Evaluation:
    """TIMIT's core test speakers, as in Table 1; see `evaluate`."""
    data = TIMIT(data_folder, "test", device, frames=model.config.frames)
    return evaluate(model, "timit", data, request)


def evaluate(model: Speaking, name: str, data: Utterances, request: Request, *, pieces: int = 1) -> Evaluation:
    """All that is asked of a model of speech. Only the pairs that are swapped are drawn, once, with the seed.

    Half of each speaker's utterances are references, of the judge of voices and of the probe; swapped are the others.

    Args:
        model: R-WAE, DS-VAE or FHVAE.
        name: The dataset's name in the catalogue.
        data: Utterances by speakers who were not trained on.
        request: What is asked.
        pieces: As many utterances are made of each: one where speakers have several, some where they have but one, as
            the validation speakers of LibriSpeech, by whom models are chosen.

    Raises:
        ValueError: a speaker has but one utterance.
    """
    utterances = spoken(data, pieces)
    speakers = torch.tensor([utterance.speaker for utterance in utterances])
    known, held = halves(speakers)
    if set(speakers[held].tolist()) != set(speakers.tolist()):
        raise ValueError(f"each speaker of {name} needs two utterances: cut them into pieces, 2 or more of each")
    codes = [encode(model, each.spectrum) for each in tqdm(utterances, desc="encode", unit="utterance", leave=False)]

    verified = trials(codes, speakers)
    same, count = int(verified.same.sum()), len(verified.same)
    note = f"{len(utterances)} utterances by {len(data.speakers)} speakers, {count} pairs, {same} of one speaker."
    title = "Speaker verification: equal error rate %, low from z^c, high from z^m"
    sections = [Section("verification", title, without_spread(verified.errors()), TABLE, note)]

    judge = voices.Voices([utterances[index] for index in known.tolist()])
    right = judge.accuracy([utterances[index] for index in held.tolist()])
    if request.wants():
        sections += [
            _companions(model, utterances, codes, speakers),
            _swap(model, utterances, codes, judge=judge, right=right, request=request),
            _resynthesis(utterances, request),
        ]
    return Evaluation(
        request.model, request.method, name, len(utterances), request.seed, 1, {"voice": right},
        tuple(section for section in sections if request.wants(section.table)),
    )  # fmt: skip


def _companions(
    model: Speaking, utterances: Sequence[Spoken], codes: Sequence[Latents], speakers: torch.Tensor
) -> Section:
    """What a model may have paid for a high error of z^m: words that it no longer carries."""
    content, motion, lost = [], [], []
    for utterance, known in tqdm(list(zip(utterances, codes, strict=True)), desc="companions", leave=False):
        spectrum = utterance.spectrum
        of_content, of_motion = nats(model, spectrum)
        content.append(of_content)
        motion.append(of_motion)
        lost.append(log_spectral_distance(decode(model, known), spectrum, utterance.config))
    figures = {
        "motion_nats": torch.cat(motion).mean().item(),
        "content_nats": torch.cat(content).mean().item(),
        "lsd_db": statistics.fmean(lost),
        **probe_errors(codes, speakers),
    }
    chance = 100 * (1 - 1 / len(set(speakers.tolist())))
    note = (
        f"Nats of a window of {model.config.frames} columns. Log-spectral distance of reconstructions with one z^c an "
        "utterance. The probe is linear, on z^c and on mean and covariance of z^m over an utterance, learned on half "
        f"of each speaker's utterances and asked about the others; chance is an error of {chance:.1f}."
    )
    title = "What the codes carry: nats, distance of reconstructions dB, error of a speaker probe %"
    return Section("companions", title, without_spread(figures), note=note)


def _swap(
    model: Speaking,
    utterances: Sequence[Spoken],
    codes: Sequence[Latents],
    *,
    judge: voices.Voices,
    right: float,
    request: Request,
) -> Section:
    """What swaps of utterances that the judge has no references of sound like; `right` decides whether it may judge."""
    speakers = torch.tensor([utterance.speaker for utterance in utterances])
    held = halves(speakers)[1]
    generator = torch.Generator().manual_seed(request.seed)
    pairs = voices.pairs(speakers, held, SWAPS_QUICK if request.quick else SWAPS, generator)
    may = right >= voices.REQUIRED
    figures = swaps.judged(model, utterances, codes, pairs, judge if may else None)
    if may:
        figures["reconstructed_voice"] = swaps.reconstructed_voices(model, utterances, codes, held.tolist(), judge)
    note = (
        f"{len(pairs)} pairs of utterances by different speakers, of each the first {swaps.SECONDS:g} s. The judge "
        "knows a voice by mel cepstra of other utterances, and no model. Asked whose voice a real utterance has, its "
        f"speaker's or another's, it is right {right:.1f}% of the time ({voices.REQUIRED:g}% are required"
        f"{'' if may else ', so it judges no swap'}). Words are compared by mel-cepstral distance along the best "
        "alignment, centred: without each wave's mean cepstrum."
    )
    title = "Swap: z^c of A with z^m of B; share nearer to A's voice %, share nearer to B's words %, distances dB"
    return Section("swap", title, without_spread(figures), note=note)


def _resynthesis(utterances: Sequence[Spoken], request: Request) -> Section:
    count = RESYNTHESISED_QUICK if request.quick else RESYNTHESISED
    step = max(1, len(utterances) // count)
    chosen = utterances[::step][:count]
    figures = resynthesis.round_trip(chosen, request.seed)
    note = f"{len(chosen)} utterances, of each the first {swaps.SECONDS:g} s."
    if "stoi_with_phase" not in figures:
        note += " For STOI install pystoi."
    title = "Analysis and synthesis without a model: log-spectral distance dB, STOI"
    return Section("resynthesis", title, without_spread(figures), note=note)
