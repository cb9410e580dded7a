"""A LoRA adapter on all matrices of a layer does what PEFT does with it."""

import warnings

import gguf
import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.model import LlamaModel
from scene.errors import ModelLoadError
from tests.inference.llama_engine.tiny_gguf import NAMES, SETTINGS
from tests.inference.tiny_llama import llama

TOKENS = [5 + 7 * at % 380 for at in range(60)]
ALPHA, RANK = 16, 8


@pytest.fixture(scope="module")
def tuned(words):
    """A model like the one in the file, with an adapter."""
    modules = [name.split(".")[1] for name in NAMES if "proj" in name]
    config = LoraConfig(
        r=RANK, lora_alpha=ALPHA, target_modules=modules, init_lora_weights=False, task_type="CAUSAL_LM"
    )
    base = llama(len(words), **SETTINGS)
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        model = get_peft_model(base, config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.normal_(std=0.05)
    return model.eval()


@pytest.fixture(scope="module")
def adapter_path(tuned, tmp_path_factory):
    path = tmp_path_factory.mktemp("adapter") / "adapter.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", ALPHA)
    for name, weight in tuned.named_parameters():
        if "lora_" not in name:
            continue
        rest, _, side = name.removeprefix("base_model.model.model.layers.").partition(".lora_")
        layer, module = rest.split(".", 1)
        array = weight.detach().numpy()
        heads = {"attn_q": 4, "attn_k": 2}.get(NAMES[module])
        if side[0] == "B" and heads:
            size = array.shape[0] // heads
            array = array.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(array.shape)
        writer.add_tensor(
            f"blk.{layer}.{NAMES[module]}.weight.lora_{side[0].lower()}", np.ascontiguousarray(array)
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_as_peft_does(gguf_path, adapter_path, tuned, torch_model):
    model = LlamaModel(gguf_path, "random")
    context = LlamaContext(
        model,
        cells=256,
        sequences=3,
        batch_tokens=31,
        threads=1,
        adapter=(model.adapter(adapter_path, "adapter"), 1.0),
    )
    with torch.inference_mode():
        right = tuned(torch.tensor([TOKENS])).logits[0].numpy()
        bare = torch_model(torch.tensor([TOKENS])).logits[0].numpy()
    for at in range(0, 60, 10):
        pieces = [Piece(sequence, TOKENS[at : at + 10], 10) for sequence in range(3)]
        for logits in context.compute(pieces).reshape(3, 10, -1):
            assert np.abs(logits - right[at : at + 10]).max() < 0.1
    assert np.abs(right - bare).max() > 1, "the adapter changes something"
    context.close()
    model.close()


def test_no_adapter(gguf_path, tmp_path):
    model = LlamaModel(gguf_path, "random")
    (tmp_path / "none.gguf").write_bytes(b"GGUF")
    for path in (tmp_path / "none.gguf", gguf_path, tmp_path / "missing.gguf"):
        with pytest.raises(ModelLoadError, match="adapter none"):
            model.adapter(path, "none")
    model.close()
