"""What the decoder is given and what is asked of it, term by term."""

from typing import Any

import pytest
import torch

from rwae_core.config import ModelConfig
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from training import objectives, preset
from training.autoencoding import Autoencoding
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
