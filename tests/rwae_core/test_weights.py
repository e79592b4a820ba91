"""Weights come back as they were, and nothing else is taken for weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rwae_core.config import ComplexFrames, ModelConfig, SimpleFrames
from rwae_core.errors import WeightsError
from rwae_core.model import RWAE
from rwae_core.weights import load_weights, save_weights

CONFIG = ModelConfig(
    content_dim=6,
    motion_dim=3,
    hidden_dim=10,
    frame_networks=SimpleFrames(encoder_widths=(4, 4, 4, 4), decoder_widths=(4, 4, 4, 4)),
)
COMPLEX = ComplexFrames(encoder_widths=(8,) * 5, decoder_widths=(8,) * 5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save_weights(tmp_path / "small", RWAE(CONFIG).eval(), card="A small one", metrics={"psnr_db": 12.5})
    return tmp_path / "small"


def test_saved_and_loaded_models_are_equal(folder: Path) -> None:
    torch.manual_seed(0)
    saved = RWAE(CONFIG).eval()
    loaded, config = load_weights(folder)
    assert config.model == CONFIG
    assert config.card == "A small one"
    assert config.metrics == {"psnr_db": 12.5}
    clip = torch.rand(1, 4, 3, 64, 64)
    torch.testing.assert_close(loaded.swap(clip, clip), saved.swap(clip, clip), rtol=0, atol=0)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_half_precision_weights_are_computed_in_single(folder: Path) -> None:
    model, _ = load_weights(folder)
    save_weights(folder, model.half())
    loaded, _ = load_weights(folder)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert loaded.generate(1, 2).dtype == torch.float32


@pytest.mark.parametrize(
    "changes",
    [
        {"prior_components": 2, "content_components": 3, "decoder": "modulated"},
        {"hidden_dim": 12, "frame_networks": COMPLEX},
    ],
    ids=["simple", "complex"],
)
def test_reading_imports_no_compiler(changes: dict[str, object], tmp_path: Path) -> None:
    """Torch has a second or two of imports that only some of its functions want, and a service would start later."""
    config = CONFIG.model_copy(update=changes)
    save_weights(tmp_path, RWAE(config))
    script = """if True:
        import sys
        from pathlib import Path
        import torch
        from rwae_core.weights import load_weights
        model = load_weights(Path(sys.argv[1]))[0].prepare(torch.float32)
        assert model.generate(1, 2).isfinite().all()
        print(*sys.modules.keys() & {"torch._dynamo", "torch._inductor", "sympy"})
    """
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_one_changed_byte_is_found(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=name):
        load_weights(folder)


def change(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))


def test_weights_of_another_configuration_are_refused(folder: Path) -> None:
    change(folder, model=json.loads(CONFIG.model_copy(update={"content_dim": 7}).model_dump_json()))
    with pytest.raises(WeightsError, match="does not fit"):
        load_weights(folder)


def test_an_unknown_field_and_broken_json_are_refused(folder: Path) -> None:
    change(folder, surprise=1)
    with pytest.raises(WeightsError, match="surprise"):
        load_weights(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(WeightsError, match="invalid"):
        load_weights(folder)


def test_saving_leaves_no_partial_file(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
