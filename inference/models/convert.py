"""Turn a GGUF file into a Hugging Face folder, once, so that transformers and training can use it."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError

from inference.end_tokens import end_tokens
from inference.heap import return_large_blocks, return_small_blocks
from inference.models.cache import cache_folder, is_full, made_once, marked, no_room
from inference.models.gguf_header import GgufHeader, read_header
from inference.models.gguf_parts import gguf_digest, whole
from inference.models.gguf_tokenizer import read_tokenizer
from inference.models.weights import LOAD_ERRORS
from inference.quiet import quiet_gguf_loader, quiet_transformers
from scene.errors import ModelLoadError, reason

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONVERTER = 1
"""Raised when the same file would convert to something else, so that older folders are made anew."""

MARKER = "converted_from.json"
FOLDER = "converted"

SHARD_SIZE = "2GB"
PACKAGES = ("transformers", "torch", "safetensors", "tokenizers")


def hf_folder(gguf_path: Path, on_progress: Callable[[int, int], object] = lambda done, total: None) -> Path:
    """Folder with a GGUF file's model in bfloat16 safetensors, its tokenizer and its chat template.

    It is named after the file's content, so it is made once for a file, wherever that lies. Needs memory for
    the whole model in bfloat16 and for the file, which is mapped (5.9 GB in all for the default model, whose
    folder has 3.6), and disk for the folder.

    Raises:
        ModelLoadError: The file is damaged or of an architecture that transformers can't read, or the cache
            folder can't be written.
    """
    header = read_header(gguf_path)
    sha256 = gguf_digest(gguf_path)

    def make(fresh: Path) -> dict[str, object]:
        with quiet_transformers(), quiet_gguf_loader(), whole(gguf_path, fresh) as file:
            _convert(gguf_path, file, header, fresh, on_progress)
        return_small_blocks()
        made = {"file": gguf_path.name, "sha256": sha256, "converter": CONVERTER}
        return {**made, "versions": {package: version(package) for package in PACKAGES}}

    return made_once(cache_folder() / FOLDER / f"{sha256[:32]}-v{CONVERTER}", MARKER, make)


def made_from(folder: Path) -> list[str] | None:
    """Name and SHA-256 of the GGUF file that a folder in the cache was made from; None if it was not."""
    return marked(folder, MARKER, "file", "sha256")


def _convert(
    gguf_path: Path, file: Path, header: GgufHeader, folder: Path, on_progress: Callable[[int, int], object]
) -> None:
    """Load a model, in one file, by transformers, put right what the file does not say, save."""
    return_large_blocks()
    on_progress(0, 3)
    try:
        tokenizer = read_tokenizer(file, header, folder)
        on_progress(1, 3)
        model = _load_model(file, folder)
    except LOAD_ERRORS as error:
        raise ModelLoadError(f"{gguf_path} can't be converted for transformers ({reason(error)}).") from error
    if model.generation_config is not None and (listed := end_tokens(tokenizer, None)):
        model.generation_config.eos_token_id = listed
    on_progress(2, 3)
    try:
        model.save_pretrained(folder, max_shard_size=SHARD_SIZE)
        tokenizer.save_pretrained(folder)
    except SafetensorError as error:
        if is_full(error):
            raise no_room(folder.parent) from error
        raise ModelLoadError(f"Writing to {folder.parent} failed ({error}).") from error
    on_progress(3, 3)


def _load_model(gguf_path: Path, empty: Path) -> PreTrainedModel:
    """The model with every weight in bfloat16, none of them made up."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    loader: Any = AutoModelForCausalLM  # its annotations don't know of output_loading_info
    model: PreTrainedModel
    model, info = loader.from_pretrained(
        str(empty),
        gguf_file=str(gguf_path.resolve()),
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
        trust_remote_code=False,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        raise ValueError(f"it has no {min(info['missing_keys'])}")
    return model
