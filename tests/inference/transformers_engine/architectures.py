"""Small random models of other kinds."""

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from tests.inference.tiny_llama import llama

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "initializer_range": 0.4,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def sliding_mistral(vocabulary):
    config = MistralConfig(**SMALL, vocab_size=vocabulary, num_key_value_heads=2, sliding_window=12)
    return MistralForCausalLM(config)


def alternating_gemma(vocabulary):
    config = Gemma2Config(
        **SMALL, vocab_size=vocabulary, num_key_value_heads=2, head_dim=8, sliding_window=12
    )
    return Gemma2ForCausalLM(config)


def biased_qwen(vocabulary):
    config = Qwen2Config(**SMALL, vocab_size=vocabulary, num_key_value_heads=1)
    return Qwen2ForCausalLM(config)


def adapted_llama(vocabulary):
    adapted = get_peft_model(
        llama(vocabulary), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    )
    assert not torch.equal(adapted(torch.tensor([[5]])).logits, llama(vocabulary)(torch.tensor([[5]])).logits)
    return adapted
