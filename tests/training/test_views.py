"""Each view of a clip changes one factor and leaves the other."""

import pytest
import torch

from rwae_core.moments import moments
from training import preset, views
from training.preset import Preset


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_another_voice_stretches_clip_and_mean_by_one_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "TILT", 0.0)
    bins = torch.arange(200.0)
    bump = torch.exp(-((bins - 80) ** 2) / 50)
    clip = bump.expand(64, 5, -1)
    heard, of = views.motion_voice(clip, moments(clip), seeded())
    mean = of[:, 0]
    assert of[:, 1].max() < 1e-6
    torch.testing.assert_close(heard, mean[:, None].expand_as(heard))  # nothing but the voice has changed
    factor = 80 / mean.argmax(1)
    assert factor.log().std().item() == pytest.approx(views.STRETCH, abs=0.03)
    expected = torch.exp(-((bins * factor[:, None] - 80) ** 2) / 50)
    assert (mean - expected).abs().max() < 0.2  # the peak's place is known to a bin


def test_a_tilt_is_smooth_and_in_the_clip_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "STRETCH", 0.0)
    monkeypatch.setattr(views, "DEPTH", 0.0)
    clip, of = torch.rand(200, 5, 200, generator=seeded(1)), torch.rand(200, 2, 200, generator=seeded(2))
    heard, still = views.motion_voice(clip, of, seeded())
    torch.testing.assert_close(still, of)
    tilt = heard - clip
    torch.testing.assert_close(tilt, tilt[:, :1].expand_as(tilt))  # all columns alike
    assert tilt[:, 0, 0].std().item() == pytest.approx(views.TILT, abs=0.01)
    assert (tilt[:, 0].diff(dim=1).abs().amax(1) < 6 * views.TILT / 39).all()


def test_differences_from_the_mean_are_deepened_smoothly_over_frequency(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(views, "STRETCH", 0.0)
    monkeypatch.setattr(views, "TILT", 0.0)
    clip, of = torch.rand(200, 5, 200, generator=seeded(1)), torch.full((200, 2, 200), -1.0)
    heard, still = views.motion_voice(clip, of, seeded())
    torch.testing.assert_close(still, of)
    depth = (heard + 1) / (clip + 1)
    torch.testing.assert_close(depth, depth[:, :1].expand_as(depth), rtol=1e-3, atol=1e-3)  # all columns alike
    assert depth[:, 0, 0].log().std().item() == pytest.approx(views.DEPTH, abs=0.05)
    assert (depth[:, 0].log().diff(dim=1).abs().amax(1) < 6 * views.DEPTH / 39).all()


def test_speechs_views_are_refused_for_video_and_the_other_way_round() -> None:
    for name, view in (("sprites", {"content_windows": 2}), ("librispeech", {"motion_colours": True})):
        raw = preset.load(name).model_dump()
        with pytest.raises(ValueError, match="is for"):
            Preset.model_validate({**raw, "views": view})
    raw = preset.load("librispeech").model_dump()
    for change in ({"views": {"motion_voices": True}}, {"schedule": raw["schedule"] | {"batch": 4}}):
        with pytest.raises(ValueError, match="content_windows, a batch of 8 or more"):
            Preset.model_validate(raw | change)
    with pytest.raises(ValueError, match="motion_input = 'frames'"):
        Preset.model_validate(raw | {"objective": raw["objective"] | {"motion_cycle": 1}})
    raw["model"]["motion_input"] = "frames"
    with pytest.raises(ValueError, match="motion_input = 'standardised'"):
        Preset.model_validate(raw)


def test_a_new_voice_changes_clip_and_recording_alike() -> None:
    clip = 0.3 + 0.4 * torch.rand(8, 5, 200, generator=seeded(1))
    recording = torch.stack([clip, clip.flip(1)], 1)
    heard, heard_recording = views.new_voice(clip, recording, seeded())
    assert (heard - clip).abs().mean() > 0.02
    quiet = slice(4, None)  # the others get noise, which no two columns share
    torch.testing.assert_close(heard_recording[quiet, 0], heard[quiet])
    torch.testing.assert_close(heard_recording[quiet, 1], heard[quiet].flip(1))
    assert heard.min() >= 0
    assert heard.max() <= 1


def test_a_deeper_clip_differs_more_from_the_mean_alone() -> None:
    clip = torch.rand(4, 5, 200, generator=seeded())
    mean = clip.mean(1, keepdim=True)
    deep = views.deepened(clip, mean, 1.5)
    torch.testing.assert_close(deep.mean(1, keepdim=True), mean)
    torch.testing.assert_close(deep.std(1), 1.5 * clip.std(1))


def test_noise_fills_what_is_below_it_and_leaves_what_is_above() -> None:
    quiet = views.noise(torch.full((400, 50, 200), 0.0), seeded())
    level = quiet.mean((1, 2))  # of log-power that is distributed exponentially: 2.5 dB below its mean
    noisy = level > 0.05
    assert torch.equal(noisy, torch.tensor([True, False]).repeat_interleave(4).repeat(50))
    assert noisy[::4].sum() == 50
    torch.testing.assert_close(quiet[~noisy], torch.zeros_like(quiet[~noisy]))
    lowest, highest = views.NOISE_LEVELS
    assert level[noisy].mean().item() == pytest.approx((lowest + highest) / 2 - 0.025, abs=0.03)
    assert quiet[noisy].diff(dim=1).std().item() == pytest.approx(0.0557 * 2**0.5, rel=0.05), "5.57 dB a column"

    loud = torch.full((400, 50, 200), 0.95)
    assert (views.noise(loud, seeded()) - loud).abs().mean() < 0.005


def test_new_clips_are_the_generators_and_each_its_own() -> None:
    clip = torch.rand(1, 1, 3, 16, 16, generator=torch.Generator().manual_seed(0)).expand(6, 2, -1, -1, -1)
    first, again, other = (views.warped(clip, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first[:, 0], first[:, 1])
    assert all(not torch.equal(first[0], clip) for clip in first[1:])
