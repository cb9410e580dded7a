"""Small random models of many kinds, each in a folder with the same small tokenizer."""

from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForSeq2SeqLM

from inference.quiet import quiet_transformers
from tests.inference.tiny_llama import tokenizer

ENDS = {"eos_token_id": 2, "pad_token_id": 0, "bos_token_id": 0, "initializer_range": 0.2}
SHAPE = {
    **ENDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
}
OLD = {**ENDS, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 1024, "rotary_dim": 4}
EXPERTS = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}
LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    "linear_num_value_heads": 4,
    "linear_num_key_heads": 2,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8, "mamba_d_ssm": 64}
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}

TRAINABLE = {
    "qwen3": SHAPE,
    "qwen3_moe": SHAPE | EXPERTS,
    "phimoe": SHAPE | EXPERTS,
    "gpt_oss": SHAPE | EXPERTS,
    "gemma2": SHAPE,
    "gemma3": {"text_config": SHAPE, "vision_config": VISION | {"image_size": 32, "patch_size": 16}},
    "phi3": SHAPE,
    "olmo2": SHAPE,
    "smollm3": SHAPE,
    "gpt2": OLD,
    "gpt_neox": SHAPE,
    "falcon": ENDS | {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "alibi": True},
    "bloom": OLD | {"hidden_size": 32},
    "opt": SHAPE | {"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.2},
}

REFUSED = {
    "mamba": SHAPE | {"state_size": 8},
    "mamba2": SHAPE | {"state_size": 8, "num_heads": 8, "n_groups": 1},
    "rwkv": SHAPE | {"attention_hidden_size": 32, "context_length": 1024},
    "falcon_h1": SHAPE | MAMBA,
    "lfm2": SHAPE | {"block_ff_dim": 64, "layer_types": ["conv", "full_attention"]},
    "qwen3_next": SHAPE | EXPERTS | LINEAR,
    "qwen3_5_text": SHAPE | LINEAR,
    "bert": SHAPE,
    "xlnet": ENDS | {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
    "t5": ENDS | {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4},
    "qwen2_5_vl": {"text_config": SHAPE, "vision_config": {"hidden_size": 32, "depth": 1, "num_heads": 4}},
}

LOADERS = {"t5": AutoModelForSeq2SeqLM, "qwen2_5_vl": AutoModelForImageTextToText}


def build(kind: str, folder: Path) -> Path:
    """A model of a kind in a folder."""
    words = tokenizer()
    words.model_max_length = 1024
    settings = dict((TRAINABLE | REFUSED)[kind])
    size = {"vocab_size": len(words)}
    settings |= {"text_config": settings["text_config"] | size} if "text_config" in settings else size
    config = AutoConfig.for_model(kind, **settings)
    torch.manual_seed(0)
    with quiet_transformers():
        LOADERS.get(kind, AutoModelForCausalLM).from_config(config).save_pretrained(folder)
        words.save_pretrained(folder)
    return folder
