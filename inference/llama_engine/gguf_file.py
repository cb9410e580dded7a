"""A Hugging Face folder as a GGUF file, tensor by tensor, in the number format that the folder has."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

from inference.llama_engine.loader import ARCHITECTURES
from inference.models.gguf_tokenizer import tokenizer_in
from inference.quiet import quiet_transformers
from scene.errors import ModelLoadError

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerBase

_WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_SPLITS = {
    "qwen2": (_WORDS.replace("DIGITS", r"\p{N}"),),
    "llama-bpe": (_WORDS.replace("DIGITS", r"\p{N}{1,3}"),),
    "smollm": ("Digits",),
    "gpt-2": (),
}
"""How llama.cpp calls the ways to cut a text before a vocabulary of bytes applies."""

_HEADS = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}


def write_gguf(folder: Path, name: str, path: Path) -> None:
    """Write a model with its vocabulary and chat template; it never lies in memory as a whole.

    Raises:
        ModelLoadError: The model has something that the file could not say.
    """
    import gguf
    from transformers import AutoConfig

    with quiet_transformers():
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        words = tokenizer_in(folder)
    if reason := _unsayable(config):
        raise ModelLoadError(f"{name} can't be converted: {reason}; use the engine `transformers`.")
    writer = gguf.GGUFWriter(path, config.model_type)
    _add_settings(writer, config, name)
    _add_words(writer, words, config.vocab_size, name)
    kinds = gguf.GGMLQuantizationType
    for tensor, kind, numbers in _tensors(folder, config, name):
        size = numbers.numel() * numbers.element_size()
        writer.add_tensor_info(tensor, numbers.shape, numbers.numpy().dtype, size, kinds[kind])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, _, numbers in _tensors(folder, config, name):
        writer.write_tensor_data(numbers.numpy())
    writer.close()


def _unsayable(config: Any) -> str | None:  # noqa: ANN401  # each architecture has a class of its own
    """What keeps a model from being written as it is."""
    if config.model_type not in ARCHITECTURES:
        return f"it is a {config.model_type}, and only {' and '.join(ARCHITECTURES)} were compared with torch"
    if getattr(config, "quantization_config", None) is not None:
        return "its weights are quantized already"
    if (rope := config.rope_parameters["rope_type"]) != "default":
        return f"it stretches positions by {rope}"
    if getattr(config, "use_sliding_window", False) or getattr(config, "mlp_bias", False):
        return "it has sliding windows, or biases in its MLP"
    return None


def _add_settings(writer: Any, config: Any, name: str) -> None:  # noqa: ANN401  # gguf has no types
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_name(name)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def _add_words(writer: Any, words: PreTrainedTokenizerBase, size: int, name: str) -> None:  # noqa: ANN401
    """The vocabulary, filled up to the rows of the embedding, and what is done with it."""
    import gguf

    model = json.loads(words.backend_tokenizer.to_str())
    splits = _splits(model["pre_tokenizer"])
    pre = next((known for known, its in _SPLITS.items() if its == splits), None)
    tokens = {index: token for token, index in words.get_vocab().items()}
    if model["model"]["type"] != "BPE" or pre is None or max(tokens) >= size or not words.chat_template:
        raise ModelLoadError(
            f"{name} can't be converted: it has no chat template, or a vocabulary of another kind than "
            "Llama 3, Qwen2 and GPT-2 have; use the engine `transformers`."
        )
    added = words.added_tokens_decoder
    types = gguf.TokenType
    kinds = [
        types.UNUSED
        if index not in tokens
        else types.NORMAL
        if index not in added
        else types.CONTROL
        if added[index].special
        else types.USER_DEFINED
        for index in range(size)
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([tokens.get(index, f"[PAD{index}]") for index in range(size)])
    writer.add_token_types(kinds)
    merges = model["model"]["merges"]
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in merges])
    for kind in ("bos", "eos", "pad", "unk"):
        if (index := getattr(words, f"{kind}_token_id")) is not None:
            getattr(writer, f"add_{kind}_token_id")(index)
    first = words("a")["input_ids"][0]
    writer.add_add_bos_token(words.bos_token_id is not None and first == words.bos_token_id)
    writer.add_chat_template(words.get_chat_template())


def _splits(pre_tokenizer: dict[str, Any] | None) -> tuple[str, ...] | None:
    """What a text is cut by before the bytes; None where it is not cut to bytes."""
    steps = (pre_tokenizer or {}).get("pretokenizers", [pre_tokenizer])
    if not steps or steps[-1] is None or steps[-1]["type"] != "ByteLevel":
        return None
    return tuple(
        step["pattern"].get("Regex", "") if step["type"] == "Split" else step["type"] for step in steps[:-1]
    )


def _tensors(
    folder: Path,
    config: Any,  # noqa: ANN401
    name: str,
) -> Iterator[tuple[str, str, torch.Tensor]]:
    """Every tensor by its name in the file, with its number format and numbers as numpy takes them."""
    import gguf
    import torch

    kinds = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    architecture = gguf.MODEL_ARCH[config.model_type.upper()]
    names = gguf.get_tensor_name_map(architecture, config.num_hidden_layers)
    for file in sorted(folder.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():
                if key.endswith("rotary_emb.inv_freq") or (
                    key == "lm_head.weight" and config.tie_word_embeddings
                ):
                    continue
                tensor, target = tensors.get_tensor(key), names.get_name(key, (".weight", ".bias"))
                if target is None or tensor.dtype not in kinds:
                    raise ModelLoadError(
                        f"{name} can't be converted: GGUF has no place for {key}; use another engine."
                    )
                if tensor.ndim == 1:
                    tensor = tensor.float()
                heads = _HEADS.get(key.split(".")[-2])
                if config.model_type == "llama" and heads is not None:
                    # In files of this architecture the two halves of each head are interleaved.
                    halves = tensor.reshape(getattr(config, heads), 2, -1, *tensor.shape[1:])
                    tensor = halves.transpose(1, 2).reshape(tensor.shape)
                kind = kinds[tensor.dtype]
                yield target, kind, tensor.view(torch.int16) if kind == "BF16" else tensor
