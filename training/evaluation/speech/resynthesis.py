"""What analysis and synthesis alone lose, without a model.

Shapes: n samples.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from tqdm import tqdm

from rwae_core.speech import analyse, synthesise
from training.evaluation.speech.spoken import Spoken, log_spectral_distance
from training.evaluation.speech.swaps import SECONDS


def round_trip(utterances: Sequence[Spoken], seed: int = 0) -> dict[str, float]:
    """The log-spectral distance in dB of waves rebuilt from their own spectra, and STOI where pystoi is installed.

    With the source's phase, and without any, where the phase is estimated. STOI (Taal et al. 2011) is 1 for what is
    as intelligible as the source.
    """
    try:
        from pystoi import stoi  # noqa: PLC0415  # evaluation runs without
    except ImportError:
        stoi = None
    figures: dict[str, list[float]] = {}
    for utterance in tqdm(utterances, desc="resynthesis", unit="utterance", leave=False):
        source = utterance.beginning(SECONDS)
        wave, config, spectrum = source.wave[None], source.config, source.spectrum
        for how, phase_of in (("with_phase", wave), ("without_phase", None)):
            generator = torch.Generator().manual_seed(seed)
            again = synthesise(spectrum[None], len(source.wave), config, phase_of=phase_of, generator=generator)
            distance = log_spectral_distance(analyse(again, config)[0], spectrum, config)
            figures.setdefault(f"lsd_{how}_db", []).append(distance)
            if stoi is not None:
                heard = stoi(source.wave.cpu().numpy(), again[0].cpu().numpy(), config.sample_rate)
                figures.setdefault(f"stoi_{how}", []).append(float(heard))
    return {name: statistics.fmean(values) for name, values in figures.items()}
