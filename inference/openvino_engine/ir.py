"""Models as OpenVINO IR in the cache: converted once for a model's content and a format of the weights."""

from __future__ import annotations

import json
import shlex
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from inference.models.cache import PARTIAL, cache_folder, locked, write_atomically, writing
from inference.models.convert import FOLDER as HF_FOLDERS
from inference.models.convert import made_from
from inference.models.converter import converter_python, failure, run_logged
from inference.models.local import Progress, no_progress, revision, transformers_folder
from inference.models.sources import AdapterSource, FolderSource, ModelSource, OpenVINOSource
from inference.models.weights import check_weights
from scene.errors import InputError, ModelLoadError
from scene.files import put_in_place

WEIGHTS = ("int8", "int4", "fp16")
"""Formats the weights can be converted to, the usual one first."""

FOLDER = "openvino"
"""Folder within the cache."""

MARKER = "converted_from.json"
"""Written last. A folder without it is no finished conversion."""

_FILES = (
    "config.json",
    "openvino_model.xml",
    "openvino_model.bin",
    "openvino_tokenizer.xml",
    "openvino_detokenizer.xml",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertedIR:
    """A finished conversion.

    Attributes:
        path: Its folder.
        id: The model as it was named then.
        revision: What pins the weights it was made from.
        weights: One of `WEIGHTS`.
        made: When, in seconds since 1970.
    """

    path: Path
    id: str
    revision: str
    weights: str
    made: float


def converted(cache_dir: Path | None) -> list[ConvertedIR]:
    """Every finished and complete conversion in the cache, the newest first."""
    folders = (cache_folder(cache_dir) / FOLDER).glob("*/" + MARKER)
    found = [
        ir
        for marker in folders
        if marker.parent.suffix != PARTIAL and (ir := _read(marker.parent)) is not None
    ]
    return sorted(found, key=lambda ir: ir.made, reverse=True)


def ir_folder(source: ModelSource, cache_dir: Path | None) -> Path | None:
    """Folder with a model as OpenVINO IR: the conversion made last, None if there is none."""
    there = converted(cache_dir)
    if not there:
        return None
    pinned = _pinned(source, cache_dir)
    return next((ir.path for ir in there if ir.revision == pinned), None)


def needed_ir_folder(source: ModelSource, cache_dir: Path | None) -> Path:
    """The same where nothing else will do.

    Raises:
        ModelLoadError: The model was not converted.
    """
    folder = ir_folder(source, cache_dir)
    if folder is None:
        raise ModelLoadError(
            f"{source.id} is not converted to OpenVINO IR yet; run `monopolylogue models convert "
            f"{shlex.quote(source.id)}`, or use the engine `transformers`."
        )
    return folder


def convert(
    source: ModelSource,
    weights: str = WEIGHTS[0],
    *,
    out: Path | None = None,
    cache_dir: Path | None = None,
    pip_flags: str | None = None,
    on_progress: Progress | None = None,
) -> Path:
    """Folder with a model as OpenVINO IR, after converting it if need be.

    Needs memory for the model in the number format of its own folder, and about 2 GB of disk for the
    converter, which is installed when it is needed first.

    Args:
        source: The model; fetched if it is not here yet.
        weights: One of `WEIGHTS`.
        out: A folder that does not exist yet, to convert to instead of the cache.
        cache_dir: Beats `MONOPOLYLOGUE_CACHE`, which beats the user's cache folder.
        pip_flags: Further flags for pip; beats `MONOPOLYLOGUE_PIP_FLAGS`.
        on_progress: Called with the stage, what is done and what there is in all.

    Raises:
        ModelLoadError: The model can't be fetched or converted, or the converter not be installed.
        InputError: Unknown format of weights, or `out` is in use.
    """
    if weights not in WEIGHTS:
        raise InputError(f"There is no weights format {weights!r}; give one of {', '.join(WEIGHTS)}.")
    if isinstance(source, OpenVINOSource):
        raise ModelLoadError(f"{source.id} is OpenVINO IR already.")
    if isinstance(source, AdapterSource):
        raise ModelLoadError(
            f"{source.id} is an adapter, which OpenVINO applies as it is; convert its model with "
            f"`monopolylogue models convert {shlex.quote(source.base.id)}`."
        )
    if out is not None and (out := out.expanduser().absolute()).exists():
        raise InputError(f"{out} exists already; give --out the name of a new folder.")
    report = on_progress or no_progress
    folder = transformers_folder(source, cache_dir, report)
    check_weights(folder, source.id)
    pinned = _pinned(source, cache_dir)
    root = cache_folder(cache_dir) / FOLDER
    target = root / f"{pinned[:32]}-{weights}"
    with writing(root), locked(target):
        if out is None and _read(target) is not None:
            return target
        fresh = target.with_name(target.name + PARTIAL)
        for leftover in (fresh, target) if out is None else (fresh,):
            if leftover.exists():
                shutil.rmtree(leftover)
        python = converter_python(cache_dir, pip_flags, lambda done, total: report("install", done, total))
        report("convert", 0, 1)
        _export(python, folder, weights, fresh, source.id)
        report("convert", 1, 1)
        _mark(fresh, source.id, pinned, weights)
        if out is None:
            put_in_place(fresh, target)
    if out is not None:
        _move(fresh, out)
    return out or target


def _pinned(source: ModelSource, cache_dir: Path | None) -> str:
    """What pins the weights.

    A folder that was converted from a GGUF file counts as that file: it is what training names as the base
    of an adapter for a built-in model.
    """
    if isinstance(source, FolderSource) and source.path.parent == cache_folder(cache_dir) / HF_FOLDERS:
        made = made_from(source.path)
        if made is not None:
            return made[1]
    return revision(source, cache_dir)


def _export(python: Path, folder: Path, weights: str, fresh: Path, name: str) -> None:
    """Run the converter, away from the network, and look at what came of it."""
    log = fresh.with_suffix(".log")
    command = [
        *(str(python), "-I", "-m", "optimum.commands.optimum_cli", "export", "openvino"),
        *("--model", str(folder), "--task", "text-generation-with-past", "--weight-format", weights),
    ]
    if weights == "int4":  # the usual groups of 128 don't divide every layer
        command += ["--group-size-fallback", "adjust"]
    settings = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"}
    if run_logged([*command, str(fresh)], log, environment=settings):
        raise failure(f"{name} can't be converted to OpenVINO IR", log, "Error: ")
    if missing := [file for file in _FILES if not (fresh / file).is_file()]:
        raise failure(f"{name} can't be converted to OpenVINO IR, which lacks {missing[0]}", log, "Error: ")
    log.unlink()


def _mark(fresh: Path, name: str, pinned: str, weights: str) -> None:
    """Write down what this is, and how large its files are, so that a damaged copy is not taken for whole."""
    sizes = {path.name: path.stat().st_size for path in sorted(fresh.iterdir())}
    marker = {"id": name, "revision": pinned, "weights": weights, "made": time.time(), "sizes": sizes}
    write_atomically(fresh / MARKER, json.dumps(marker, indent=2))


def _read(folder: Path) -> ConvertedIR | None:
    """What a folder holds; None if that is no finished conversion, or a file is missing or cut off."""
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if any((folder / file).stat().st_size != size for file, size in marker["sizes"].items()):
            return None
        return ConvertedIR(
            path=folder,
            id=marker["id"],
            revision=marker["revision"],
            weights=marker["weights"],
            made=float(marker["made"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _move(fresh: Path, out: Path) -> None:
    """Put a conversion where the user wants it, be that another disk; whole or not at all."""
    work = out.with_name(out.name + PARTIAL)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        put_in_place(fresh, work)
        put_in_place(work, out)
    except OSError as error:
        shutil.rmtree(work, ignore_errors=True)
        raise InputError(f"{out} can't be written ({error.strerror}); give --out another folder.") from error
