"""From a model's source to an engine that runs its GGUF file."""

from __future__ import annotations

from pathlib import Path

from inference.engine import Engine
from inference.llama_engine.library import load_library
from inference.models.gguf_header import read_header
from inference.models.gguf_tokenizer import tokenizer_folder
from inference.models.local import Progress, gguf_file, revision
from inference.models.sources import AdapterSource, EmbeddedSource, GgufSource, ModelSource
from scene.errors import InputError, ModelLoadError
from scene.nouns import ModelIdentity

ARCHITECTURES = ("llama", "qwen2")
"""Those that were compared with torch. The library knows more, and what it gets wrong it doesn't say."""


def is_known(source: ModelSource) -> bool:
    """Whether it is a GGUF file of an architecture that is known to be computed right.

    Raises:
        ModelLoadError: The file is damaged.
    """
    match source:
        case EmbeddedSource():
            return True
        case GgufSource():
            return read_header(source.path).architecture in ARCHITECTURES
        case _:
            return False


def load_llama(source: ModelSource, threads: int | None, cache_dir: Path | None, report: Progress) -> Engine:
    """Fetch a GGUF file if need be, and start an engine on it.

    Raises:
        ModelLoadError: The file can't be fetched or loaded.
        InputError: The library is not installed, or can't run the model.
    """
    load_library()
    if isinstance(source, AdapterSource):
        raise InputError(f"The engine `llama` takes no adapters such as {source.id}; use another engine.")
    if not is_known(source):
        raise InputError(
            f"The engine `llama` runs GGUF files of the architectures {' and '.join(ARCHITECTURES)}, and "
            f"{source.id} is none; use another engine."
        )
    assert isinstance(source, EmbeddedSource | GgufSource)
    path = gguf_file(source, cache_dir, report)
    context_tokens = read_header(path).context_tokens
    if context_tokens is None:
        raise ModelLoadError(f"{source.id} does not say how long its context is; choose another model.")
    folder = tokenizer_folder(path, cache_dir)
    report("load", 0, 1)
    from transformers import AutoTokenizer, PreTrainedTokenizerBase

    from inference.llama_engine.beginnings import beginnings_of
    from inference.llama_engine.engine import LlamaEngine
    from inference.llama_engine.model import LlamaModel

    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    identity = ModelIdentity(
        id=source.id,
        revision=revision(source, cache_dir),
        engine="llama",
        details={"device": "cpu", "file": path.name},
    )
    beginnings = beginnings_of(identity, cache_dir)
    model = LlamaModel(path, source.id)
    try:
        engine = LlamaEngine(
            model, tokenizer, identity, context_tokens, threads=threads, beginnings=beginnings
        )
    except ModelLoadError:
        model.close()
        raise
    report("load", 1, 1)
    return engine
