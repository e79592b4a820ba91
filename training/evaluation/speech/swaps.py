"""Swapped speech by ear: whose voice it has, and whose words.

Shapes: N columns, n samples, Dc content and Dm motion dimensions.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from rwae_core.latents import Latents
from rwae_core.speech import synthesise
from training.evaluation.speech.cepstrum import aligned_distance, mel_cepstra
from training.evaluation.speech.spoken import Speaking, Spoken, decode
from training.evaluation.speech.voices import Voices

SECONDS = 8.0
"""As much of each swap's and each source's beginning is heard: aligning takes time with the square of it."""


def swap(model: Speaking, content: Latents, motion: Latents, source: Spoken) -> Float[Tensor, " n"]:
    """The wave of z^c of one utterance with z^m of `source`, of which it takes the phase, as the service does."""
    columns = source.config.columns(len(source.wave))
    spectrum = decode(model, Latents(content.z_c, motion.z_m[:, :columns]))
    return synthesise(spectrum[None], len(source.wave), source.config, phase_of=source.wave[None])[0]


def judged(
    model: Speaking,
    utterances: Sequence[Spoken],
    codes: Sequence[Latents],
    pairs: Sequence[tuple[int, int]],
    voices: Voices | None,
) -> dict[str, float]:
    """What the swaps of pairs (content, motion) of utterances sound like, over all pairs.

    Args:
        model: Whose codes and swaps they are.
        utterances: The real ones.
        codes: Of each utterance.
        pairs: Which are swapped, by different speakers.
        voices: The judge, who has none of these utterances among its references; without, nobody judges voices.

    Returns:
        `content_voice`, the share in % that is nearer to content's speaker than to motion's; `motion_words`, the share
        that is nearer to motion's source than to content's by aligned mel-cepstral distance; the mean distances from
        both in dB; and the same of cepstra without each wave's mean (`…_centred`), which leaves out much of the voice
        and of the microphone.
    """
    voice: list[bool] = []
    distances: dict[str, list[float]] = {
        f"{kind}_{of}": [] for kind in ("mcd", "centred") for of in ("motion", "content")
    }
    for content, motion in tqdm(pairs, desc="swap", unit="pair", leave=False):
        source, other = (utterances[index].beginning(SECONDS) for index in (motion, content))
        wave = swap(model, codes[content], codes[motion], source)
        if voices is not None:
            voice.append(voices.nearer(wave, other.speaker, source.speaker))
        swapped, *sources = (mel_cepstra(each) for each in (wave, source.wave, other.wave))
        for of, cepstra in zip(("motion", "content"), sources, strict=True):
            distances[f"mcd_{of}"].append(aligned_distance(swapped, cepstra))
            centred = (each - each.mean(0) for each in (swapped, cepstra))
            distances[f"centred_{of}"].append(aligned_distance(*centred))
    return {
        **({"content_voice": 100 * statistics.fmean(voice)} if voices is not None else {}),
        "motion_words": _nearer(distances["mcd_motion"], distances["mcd_content"]),
        "mcd_motion_db": statistics.fmean(distances["mcd_motion"]),
        "mcd_content_db": statistics.fmean(distances["mcd_content"]),
        "motion_words_centred": _nearer(distances["centred_motion"], distances["centred_content"]),
        "mcd_motion_centred_db": statistics.fmean(distances["centred_motion"]),
        "mcd_content_centred_db": statistics.fmean(distances["centred_content"]),
    }


def reconstructed_voices(
    model: Speaking, utterances: Sequence[Spoken], codes: Sequence[Latents], asked: Sequence[int], voices: Voices
) -> float:
    """The judge's accuracy in % on reconstructions: how much of a voice a swap could have at best."""
    again = []
    for index in tqdm(asked, desc="reconstruct", unit="utterance", leave=False):
        source = utterances[index].beginning(SECONDS)
        wave = swap(model, codes[index], codes[index], source)
        again.append(Spoken(source.speaker, wave, source.config))
    return voices.accuracy(again)


def _nearer(one: Sequence[float], other: Sequence[float]) -> float:
    return 100 * statistics.fmean(a < b for a, b in zip(one, other, strict=True))
