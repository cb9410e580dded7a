"""Random models of two layers, written as GGUF files, so that tests of this engine need no download."""

import json
import warnings
from pathlib import Path

import gguf
import numpy as np
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.inference.tiny_llama import CHATML, CONTEXT, SPECIAL, llama

NAMES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
SETTINGS = {"hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4, "num_key_value_heads": 2}
"""Large enough for the library's kernels, which take 32 numbers at once."""


def random_model(architecture: str, vocabulary: int) -> PreTrainedModel:
    """The llama of `tiny_llama` in this size, or a qwen2 like it, with biases."""
    model = llama(vocabulary, **SETTINGS)
    if architecture == "llama":
        return model
    settings = model.config.to_dict()
    settings.pop("model_type")
    torch.manual_seed(0)
    other = Qwen2ForCausalLM(Qwen2Config(**settings)).eval()
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if name.endswith("bias"):
                weight.normal_(std=0.4)
    return other


def tuned(model: PreTrainedModel, folder: Path, base: Path | str, **settings) -> PeftModel:
    """The model with an adapter of random weights, which is saved as one over `base`."""
    settings = {"target_modules": "all-linear", "init_lora_weights": False} | settings
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing", category=FutureWarning)
        adapted = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **settings))
        with torch.no_grad():
            for name, weight in adapted.named_parameters():
                if "lora_" in name:
                    weight.normal_(std=0.05)
        adapted.save_pretrained(folder, save_embedding_layers=False)
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}))
    return adapted.eval()


def write_gguf(
    model: PreTrainedModel, words: PreTrainedTokenizerFast, path: Path, *, part_tensors: int = 0
) -> Path:
    """A file with the model's weights in float32, its vocabulary and its chat template.

    In parts of so many tensors where they are limited; the files are named after the one there is not.
    """
    config = model.config
    writer = gguf.GGUFWriter(path, config.model_type, split_max_tensors=part_tensors)
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    tokens = [words.convert_ids_to_tokens(index) for index in range(config.vocab_size)]
    special = gguf.TokenType.CONTROL
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([special if token in SPECIAL else gguf.TokenType.NORMAL for token in tokens])
    merges = words.backend_tokenizer.to_str()
    writer.add_token_merges([" ".join(pair) for pair in json.loads(merges)["model"]["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(2)
    writer.add_pad_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_chat_template(words.chat_template or CHATML)
    for name, tensor in model.state_dict().items():
        writer.add_tensor(_name(name), _array(name, tensor, config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _name(name: str) -> str:
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        module, _, kind = rest.rpartition(".")
        return f"blk.{layer}.{NAMES[module]}.{kind}"
    return {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "lm_head.weight": "output.weight",
    }[name]


def _array(name: str, tensor: torch.Tensor, config) -> np.ndarray:
    """The numbers; of a llama's queries and keys with the two halves of each head interleaved, as in GGUF."""
    array = tensor.detach().float().numpy()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for kind, count in heads.items():
        if f".{kind}." in name and config.model_type == "llama":
            size = array.shape[0] // count
            array = array.reshape(count, 2, size // 2, -1).swapaxes(1, 2).reshape(array.shape)
    return np.ascontiguousarray(array)
