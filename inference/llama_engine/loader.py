"""From a model's source to an engine that runs its GGUF file."""

import mmap
from pathlib import Path

from inference.engine import Engine
from inference.llama_engine.adapter import adapter_file, applicable
from inference.llama_engine.library import load_library
from inference.models.adapter import token_count
from inference.models.gguf_header import read_header
from inference.models.gguf_tokenizer import tokenizer_folder, tokenizer_in
from inference.models.local import Progress, gguf_file, revision
from inference.models.sources import AdapterSource, EmbeddedSource, GgufSource, ModelSource
from scene.errors import InputError, ModelLoadError
from scene.nouns import ModelIdentity

ARCHITECTURES = ("llama", "qwen2")
"""Those that were compared with torch. The library knows more, and what it gets wrong it doesn't say."""

STRETCHING = b"rope_freqs.weight"
NAMES_WITHIN = 64 << 20
"""Bytes of a file among which the names of its tensors are, behind the vocabulary."""


def is_known(source: ModelSource) -> bool:
    """Whether it is a GGUF file, or an adapter on one, that is known to be computed right.

    Raises:
        ModelLoadError: The file is damaged.
    """
    match source:
        case EmbeddedSource():
            return True
        case GgufSource():
            return read_header(source.path).architecture in ARCHITECTURES and not _is_stretched(source.path)
        case AdapterSource():
            try:
                applicable(source)
            except ModelLoadError:
                return False
            return is_known(source.base)
        case _:
            return False


def _is_stretched(path: Path) -> bool:
    """Whether a file's positions are stretched as those of Llama 3.1 are.

    The library seems to leave that out: its logits of a random model were the same with any factors.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return data.find(STRETCHING, 0, NAMES_WITHIN) >= 0


def gguf_base(source: ModelSource) -> EmbeddedSource | GgufSource:
    """The model itself, or the one that an adapter sits on.

    Raises:
        ModelLoadError: The file is damaged.
        InputError: It is no GGUF file of a known architecture.
    """
    base = source.base if isinstance(source, AdapterSource) else source
    if isinstance(base, EmbeddedSource | GgufSource) and is_known(base):
        return base
    convert = "" if isinstance(base, GgufSource) else ", or `monopolylogue models convert`"
    raise InputError(
        f"The engine `llama` runs GGUF files of the architectures {' and '.join(ARCHITECTURES)} without "
        f"positions stretched as in Llama 3.1, and {base.id} is none; use another engine{convert}."
    )


def load_llama(source: ModelSource, threads: int | None, report: Progress) -> Engine:
    """Fetch a GGUF file if need be, and start an engine on it, with an adapter where one is meant.

    Raises:
        ModelLoadError: The file can't be fetched or loaded, or the adapter not be applied whole.
        InputError: The library is not installed, or can't run the model.
    """
    load_library()
    base = gguf_base(source)
    adapter = applicable(source) if isinstance(source, AdapterSource) else None
    path = gguf_file(base, report)
    header = read_header(path)
    if header.context_tokens is None:
        raise ModelLoadError(f"{base.id} does not say how long its context is; choose another model.")
    folder = tokenizer_folder(path)
    report("load", 0, 1)
    from inference.llama_engine.beginnings import beginnings_of
    from inference.llama_engine.engine import LlamaEngine
    from inference.llama_engine.model import LlamaModel

    tokenizer = tokenizer_in(folder)
    identity = ModelIdentity(
        id=source.id,
        revision=revision(source),
        engine="llama",
        details={"device": "cpu", "file": path.name},
    )
    model = LlamaModel(path, base.id)
    try:
        applied = None
        if adapter is not None:
            if token_count(adapter.path.parent) > model.vocabulary:
                raise ModelLoadError(
                    f"The adapter {source.id} brings tokens that {base.id} does not have, which the engine "
                    "`llama` can't add; use the engine `transformers`."
                )
            file = adapter_file(adapter, identity, header)
            applied = (model.adapter(file, source.id), 1.0)
            tokenizer.chat_template = adapter.chat_template or tokenizer.chat_template
        engine = LlamaEngine(
            model,
            tokenizer,
            identity,
            header.context_tokens,
            adapter=applied,
            threads=threads,
            beginnings=beginnings_of(identity),
        )
    except ModelLoadError:
        model.close()
        raise
    report("load", 1, 1)
    return engine
