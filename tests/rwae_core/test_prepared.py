"""The modulated decoder laid out for a processor draws what it drew before."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from rwae_core.config import ModelConfig, SimpleFrames
from rwae_core.latents import Latents
from rwae_core.model import RWAE
from rwae_core.prepared import LONG, PART, PreparedDecoder, fastest_dtype
from rwae_core.weights import load_weights
from tests.precision import BFLOAT16

SPRITES = Path(__file__).parents[2] / "weights" / "sprites"
LEVEL = 1 / 255
VARIANTS = {
    "linear": SimpleFrames(encoder_widths=(4,), decoder_widths=(6, 8, 20, 5), output="linear"),
    "sigmoid": SimpleFrames(encoder_widths=(4,), decoder_widths=(6, 8, 20, 5), output="sigmoid"),
    "grey": SimpleFrames(encoder_widths=(4,), decoder_widths=(7, 9, 6), size=32, channels=1),
    "one-convolution": SimpleFrames(encoder_widths=(4,), decoder_widths=(3,), size=8),
}


PRECISIONS = ["float32", pytest.param("bfloat16", marks=BFLOAT16)]


def small(name: str, **more: object) -> RWAE:
    torch.manual_seed(0)
    dims = {"content_dim": 6, "motion_dim": 3, "hidden_dim": 10, "content_posterior": "patches", "decoder": "modulated"}
    return RWAE(ModelConfig.model_validate({**dims, "frame_networks": VARIANTS[name], **more})).eval()


@pytest.fixture(scope="module")
def sprites() -> dict[str, RWAE]:
    plain, _ = load_weights(SPRITES)
    return {"plain": plain, "float32": deepcopy(plain).prepare(), "bfloat16": deepcopy(plain).prepare(torch.bfloat16)}


@pytest.fixture(scope="module")
def codes(sprites: dict[str, RWAE]) -> Latents:
    """New clips, and new content with the motion of clips that were seen, as in swaps."""
    new = sprites["plain"].sample(16, 8, torch.Generator().manual_seed(0))
    seen = sprites["plain"].encode(sprites["plain"].decode(new))
    return Latents(torch.cat([new.z_c, seen.z_c.roll(1, 0)]), torch.cat([new.z_m, seen.z_m]))


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("actions", [0, 3])
@torch.inference_mode()
def test_small_ones_draw_the_same_in_float32(name: str, actions: int) -> None:
    plain = small(name, actions=actions)
    ready = deepcopy(plain).prepare()
    assert isinstance(ready.decoder, PreparedDecoder)
    made, steps = plain.sample(3, 5, torch.Generator().manual_seed(0)), torch.tensor([[4, 0], [1, 1], [2, 3]])
    torch.testing.assert_close(ready.decode(made), plain.decode(made), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ready.decode(made, steps), plain.decode(made, steps), atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ready.decode_on(made)[0], plain.decode(made), atol=1e-6, rtol=1e-5)


@torch.inference_mode()
def test_what_is_drawn_in_float32_is_what_the_plain_decoder_draws(sprites: dict[str, RWAE], codes: Latents) -> None:
    torch.testing.assert_close(sprites["float32"].decode(codes), sprites["plain"].decode(codes), atol=2e-6, rtol=0)


@BFLOAT16
@torch.inference_mode()
def test_what_is_drawn_in_bfloat16_is_off_by_a_part_of_a_level(sprites: dict[str, RWAE], codes: Latents) -> None:
    drawn = sprites["plain"].decode(codes)
    error = (sprites["bfloat16"].decode(codes) - drawn).abs()
    assert error.max() <= 5 * LEVEL
    assert error.mean() <= 0.2 * LEVEL
    assert (error > 2 * LEVEL).double().mean() < 0.001


@torch.inference_mode()
def test_codes_are_to_the_bit_what_they_were(sprites: dict[str, RWAE], codes: Latents) -> None:
    clips = sprites["plain"].decode(codes)[:2]
    for name in ("float32", "bfloat16"):
        encoded, expected = sprites[name].encode(clips), sprites["plain"].encode(clips)
        assert torch.equal(encoded.z_c, expected.z_c)
        assert torch.equal(encoded.z_m, expected.z_m)


@torch.inference_mode()
def test_new_codes_are_what_they_were_to_rounding(sprites: dict[str, RWAE]) -> None:
    made, expected = (sprites[each].sample(2, 100, torch.Generator().manual_seed(1)) for each in ("float32", "plain"))
    torch.testing.assert_close(made.z_m, expected.z_m, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("name", "most", "mean"),
    [("float32", 2e-6, 1e-6), pytest.param("bfloat16", 5 * LEVEL, 0.2 * LEVEL, marks=BFLOAT16)],
)
@torch.inference_mode()
def test_long_clips_are_drawn_alike(sprites: dict[str, RWAE], name: str, most: float, mean: float) -> None:
    made = sprites["plain"].sample(2, LONG + PART // 2, torch.Generator().manual_seed(0))
    error = (sprites[name].decode(made) - sprites["plain"].decode(made)).abs()
    assert error.max() <= most
    assert error.mean() <= mean


@pytest.mark.parametrize("name", VARIANTS)
@torch.inference_mode()
def test_small_ones_draw_long_clips_of_actions(name: str) -> None:
    plain = small(name, actions=3)
    made = plain.sample(2, LONG, torch.Generator().manual_seed(0))
    torch.testing.assert_close(deepcopy(plain).prepare().decode(made), plain.decode(made), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", PRECISIONS)
@torch.inference_mode()
def test_the_same_codes_give_the_same_bits(sprites: dict[str, RWAE], codes: Latents, name: str) -> None:
    assert torch.equal(sprites[name].decode(codes), sprites[name].decode(codes))


def test_what_rounds_says_so(sprites: dict[str, RWAE]) -> None:
    assert [sprites[name].rounds for name in ("plain", "float32", "bfloat16")] == [False, False, True]


@pytest.mark.parametrize("frames", [1, 3, 8, 13, 64])
@torch.inference_mode()
def test_in_float32_a_frame_does_not_depend_on_what_is_drawn_with_it(
    sprites: dict[str, RWAE], codes: Latents, frames: int
) -> None:
    each = Latents(codes.z_c.repeat_interleave(8, 0), codes.z_m.flatten(0, 1)[:, None])
    some = Latents(each.z_c[5 : 5 + frames], each.z_m[5 : 5 + frames])
    whole = sprites["float32"].decode(codes).flatten(0, 1)[5 : 5 + frames]
    torch.testing.assert_close(sprites["float32"].decode(some)[:, 0], whole, atol=2e-6, rtol=0)


def test_other_decoders_stay_what_they_are() -> None:
    paper = RWAE(ModelConfig(content_dim=4, motion_dim=2, hidden_dim=8))
    decoder = paper.decoder
    assert paper.prepare(torch.bfloat16).decoder is decoder


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc: run it on Linux")
def test_a_processor_is_asked_what_it_has() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert fastest_dtype() is (torch.bfloat16 if "avx512_bf16" in flags else torch.float32)
