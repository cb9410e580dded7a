"""Which adapters go to OpenVINO, and whether they fit."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from inference import loading
from inference.loading import load_engine, suits_openvino
from inference.models import wheels
from inference.models.adapter import read_adapter
from inference.models.sources import resolve
from inference.openvino_engine.adapter import check_fits
from inference.openvino_engine.ir import convert
from scene.errors import InputError, ModelLoadError
from tests.inference.models.fake_converter import FakeConverter
from tests.inference.models.fake_weights import safetensors

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
PLAIN = {f"{LAYER}.lora_A.weight": (4, 8), f"{LAYER}.lora_B.weight": (8, 4)}
SETTINGS = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "base_model_name_or_path": "tiny"}
GRAPH = '<layer id="7" name="__module.model.layers.0.self_attn.q_proj/ov_ext::linear/MatMul" type="MatMul">'

Make = Callable[..., Path]


@pytest.fixture
def adapter(tmp_path: Path) -> Make:
    def make(tensors: dict[str, tuple[int, ...]] = PLAIN, **settings: object) -> Path:
        folder = tmp_path / "adapter"
        folder.mkdir(exist_ok=True)
        (folder / "adapter_config.json").write_text(json.dumps(SETTINGS | settings))
        safetensors(folder / "adapter_model.safetensors", **tensors)
        return folder

    return make


def test_an_adapter_for_other_layers(adapter: Make, tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").write_text(GRAPH)
    check_fits(read_adapter(adapter(), "x"), tmp_path, "x")
    deeper = {name.replace("layers.0", "layers.30"): shape for name, shape in PLAIN.items()}
    with pytest.raises(ModelLoadError, match=r"which has no model\.layers\.30\.self_attn\.q_proj; correct"):
        check_fits(read_adapter(adapter(deeper), "x"), tmp_path, "x")


# --- which engine ---


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that passes for a model; a converter that passes for one; OpenVINO on a CPU."""
    fake = FakeConverter(tmp_path / "shelf")
    monkeypatch.setattr(wheels, "PIP", (sys.executable, str(fake.folder / "pip.py")))
    monkeypatch.setenv("MONOPOLYLOGUE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "_sees_accelerator", lambda: False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    folder = tmp_path / "base"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    safetensors(folder / "model.safetensors", w=(2, 2))
    return folder


def test_auto_takes_openvino_where_the_base_was_converted(adapter: Make, base: Path) -> None:
    source = resolve(str(adapter(base_model_name_or_path=str(base))))
    assert not suits_openvino(source)
    convert(resolve(str(base)))
    assert suits_openvino(source)
    adapter(base_model_name_or_path=str(base), rank_pattern={"q_proj": 2})
    assert not suits_openvino(source), "transformers applies it"


def test_openvino_needs_the_base_converted_even_where_it_is_gguf(adapter: Make, base: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"^tiny is not .*; run `monopolylogue models convert tiny`"):
        load_engine(str(adapter()), engine="openvino")


def test_an_adapter_whose_base_is_gone(adapter: Make) -> None:
    for engine in ("auto", "openvino", "transformers"):
        with pytest.raises(InputError, match=r"is an adapter for '/no/such', which can't be found; correct"):
            load_engine(str(adapter(base_model_name_or_path="/no/such")), engine=engine)
