"""The tokenizer of a GGUF file, as transformers has it, without the weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from inference.models.cache import cache_folder, made_once, marked
from inference.models.gguf_header import GgufHeader, read_header
from inference.models.gguf_parts import gguf_digest
from inference.models.weights import LOAD_ERRORS
from inference.quiet import quiet_transformers
from scene.errors import ModelLoadError, reason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

READER = 1
"""Raised when the same file would give another tokenizer, so that older folders are made anew."""

MARKER = "read_from.json"
FOLDER = "tokenizers"

# llama.cpp splits the text of these vocabularies into single digits before GPT-2's pattern applies;
# transformers applies the pattern alone.
_DIGITS_APART = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone"}


def tokenizer_folder(gguf_path: Path) -> Path:
    """Folder with a GGUF file's tokenizer and chat template, made once for a file, wherever that lies.

    Reading a large vocabulary out of the file takes a quarter of a minute, out of the folder a second.

    Raises:
        ModelLoadError: The file is damaged or of a kind that transformers can't read, or the cache folder
            can't be written.
    """
    header = read_header(gguf_path)
    sha256 = gguf_digest(gguf_path)

    def make(fresh: Path) -> dict[str, str]:
        with quiet_transformers():
            try:
                tokenizer = read_tokenizer(gguf_path, header, fresh)
            except LOAD_ERRORS as error:
                raise ModelLoadError(
                    f"The tokenizer of {gguf_path} can't be read ({reason(error)})."
                ) from error
            tokenizer.save_pretrained(fresh)
        return {"file": gguf_path.name, "sha256": sha256}

    return made_once(cache_folder() / FOLDER / f"{sha256[:32]}-v{READER}", MARKER, make)


def tokenizer_in(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a folder on this machine; none of its code is run."""
    from transformers import AutoTokenizer

    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return found


def made_from(folder: Path) -> list[str] | None:
    """Name and SHA-256 of the GGUF file that a folder in the cache was read from; None if it was not."""
    return marked(folder, MARKER, "file", "sha256")


def read_tokenizer(gguf_path: Path, header: GgufHeader, empty: Path) -> PreTrainedTokenizerBase:
    """The tokenizer, splitting text as the model's own does.

    The empty folder, as the model's name beside the file's full path, keeps the loader from reading what
    happens to lie beside the file.
    """
    from tokenizers import pre_tokenizers
    from transformers import AutoTokenizer

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(empty), gguf_file=str(gguf_path.resolve()), trust_remote_code=False
    )
    if header.values.get("tokenizer.ggml.pre") in _DIGITS_APART:
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Digits(individual_digits=True),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            ]
        )
    if header.context_tokens is not None:
        tokenizer.model_max_length = header.context_tokens
    return tokenizer
