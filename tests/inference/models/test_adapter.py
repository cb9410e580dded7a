"""Which adapters are of the plain kind; the others are refused by name, or go to transformers."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.models.adapter import read_adapter, token_count
from scene.errors import ModelLoadError
from tests.inference.models.fake_weights import safetensors

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
PLAIN = {f"{LAYER}.lora_A.weight": (4, 8), f"{LAYER}.lora_B.weight": (8, 4)}
SETTINGS = {"peft_type": "LORA", "r": 4, "lora_alpha": 16, "base_model_name_or_path": "tiny"}

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


@pytest.mark.parametrize(("settings", "scale"), [({}, 4.0), ({"use_rslora": True}, 16 / math.sqrt(4))])
def test_a_plain_adapter(settings: dict[str, object], scale: float, adapter: Make) -> None:
    read = read_adapter(adapter(**settings), "x")
    assert read.scale == scale
    assert read.modules == {"model.layers.0.self_attn.q_proj"}
    assert read.chat_template is None


def test_its_chat_template_is_found_where_transformers_leaves_it(adapter: Make) -> None:
    folder = adapter()
    (folder / "tokenizer_config.json").write_text('{"chat_template": "old"}')
    assert read_adapter(folder, "x").chat_template == "old"
    (folder / "chat_template.jinja").write_text("new")
    assert read_adapter(folder, "x").chat_template == "new"
    (folder / "chat_template.jinja").unlink()
    (folder / "tokenizer_config.json").write_text('{"chat_template": {"default": "several"}}')
    assert read_adapter(folder, "x").chat_template is None


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"r": None}, "names no rank and alpha"),
        ({"r": 0}, "names no rank and alpha"),
        ({"r": 8}, r"lora_A\.weight is not of the rank that its adapter_config\.json names"),
        ({"lora_alpha": "much"}, "names no rank and alpha"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights='pissa'"),
        ({"alpha_pattern": {"q_proj": 2}}, "it was made with alpha_pattern"),
        ({"rank_pattern": {"q_proj": 2}}, "it was made with rank_pattern"),
    ],
)
def test_settings_that_would_not_be_heeded(settings: dict[str, object], why: str, adapter: Make) -> None:
    with pytest.raises(ModelLoadError, match=rf"^The adapter x is no plain LoRA \(.*{why}.*\); use the"):
        read_adapter(adapter(**settings), "x")


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"peft_type": "IA3"}, "of type IA3"),
        ({"peft_type": None}, "of type None"),
        ({"alora_invocation_tokens": [1]}, "made with alora_invocation_tokens"),
    ],
)
def test_kinds_that_no_engine_applies(settings: dict[str, object], why: str, adapter: Make) -> None:
    with pytest.raises(ModelLoadError, match=rf"^The adapter x is {why}; the engines here apply LoRA adap"):
        read_adapter(adapter(**settings), "x")


@pytest.mark.parametrize(
    "tensors",
    [
        {**PLAIN, f"{LAYER}.lora_magnitude_vector": (8,)},
        {**PLAIN, "base_model.model.lm_head.weight": (8, 8)},
        {**PLAIN, "base_model.model.model.embed_tokens.lora_embedding_A": (4, 8)},
        {**PLAIN, f"{LAYER}.lora_B.bias": (8,)},
        {f"{LAYER}.lora_A.weight": (4, 8, 1), f"{LAYER}.lora_B.weight": (8, 4, 1)},
        {f"{LAYER}.lora_A.weight": (4, 8)},
        {},
    ],
)
def test_weights_that_would_be_left_out(tensors: dict[str, tuple[int, ...]], adapter: Make) -> None:
    with pytest.raises(ModelLoadError, match=r"^The adapter x is no plain LoRA \("):
        read_adapter(adapter(tensors), "x")


def test_the_tokens_that_it_adds_are_counted(tmp_path: Path) -> None:
    assert token_count(tmp_path) == 0
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": []}')
    assert token_count(tmp_path) == 0
    (tmp_path / "tokenizer.json").write_text('{"added_tokens": [{"id": 2}, {"id": 401}, {"id": 1}]}')
    assert token_count(tmp_path) == 402


def test_missing_and_damaged_weights(adapter: Make) -> None:
    folder = adapter()
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelLoadError, match=r"damaged adapter_model\.safetensors"):
        read_adapter(folder, "x")
    weights.unlink()
    with pytest.raises(ModelLoadError, match=r"adapter_model\.safetensors is missing"):
        read_adapter(folder, "x")
