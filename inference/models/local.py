"""A model's files on this machine: fetched, downloaded or converted where they are not here yet."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

from httpx import HTTPError
from huggingface_hub import snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from inference.models.cache import is_full
from inference.models.convert import hf_folder
from inference.models.fetch import fetch
from inference.models.gguf_parts import gguf_digest
from inference.models.sources import (
    AdapterSource,
    EmbeddedSource,
    FolderSource,
    GgufSource,
    HubSource,
    ModelSource,
)
from scene.errors import ModelLoadError
from scene.network import check_hub

Stage = Literal["fetch", "convert", "load"]
Progress = Callable[[Stage, int, int], None]
"""Called with the stage, and how much of how much is done: bytes when fetching, steps otherwise."""

_HUB_FILES = ["*.json", "*.safetensors", "*.jinja", "*.model", "*.txt"]
# Second copies of the weights, in other layouts.
_HUB_NOT = ["*/*", "consolidated*"]

_WHOLE_BYTES = 16 * 2**20
_BLOCK, _BLOCKS = 64 * 2**10, 64
_SUFFIXES = {".json", ".jinja", ".model", ".txt", ".safetensors"}
_REPORTS = {"metrics.json", "loss.json"}
"""What a training writes beside the weights, and what differs in time alone where it is done again."""


def no_progress(stage: Stage, done: int, total: int) -> None:
    """Progress that nobody watches."""


def gguf_file(source: EmbeddedSource | GgufSource, report: Progress) -> Path:
    """The GGUF file itself, fetched if it is an embedded model's."""
    if isinstance(source, GgufSource):
        return source.path
    return fetch(source.model, lambda done, total: report("fetch", done, total))


def transformers_folder(source: ModelSource, on_progress: Progress = no_progress) -> Path:
    """Folder with config, safetensors and tokenizer of a model, of an adapter's base model for an adapter.

    Fetches and converts what is missing. Training starts from this folder too.

    Raises:
        ModelLoadError: It can't be fetched or converted, or is in a format transformers does not read.
    """
    match source:
        case AdapterSource():
            return transformers_folder(source.base, on_progress)
        case FolderSource():
            return source.path
        case HubSource():
            return _snapshot(source)
        case EmbeddedSource() | GgufSource():
            gguf = gguf_file(source, on_progress)
            return hf_folder(gguf, lambda done, total: on_progress("convert", done, total))


def revision(source: ModelSource) -> str:
    """What pins the weights: a commit, or a digest of their content."""
    match source:
        case EmbeddedSource():
            return source.model.sha256
        case GgufSource():
            return gguf_digest(source.path)
        case HubSource():
            return source.commit
        case FolderSource():
            return folder_digest(source.path)
        case AdapterSource():
            both = f"{revision(source.base)}+{folder_digest(source.path)}"
            return hashlib.sha256(both.encode()).hexdigest()


def folder_digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, over the names, sizes and content of a model folder's files.

    Not over how its training went: the same weights, trained again, are the same model. Of a file over
    16 MiB, 64 blocks spread over it stand for the whole: a model that was trained on or merged differs in
    all of them, and a folder of any size takes a moment.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name in _REPORTS or path.suffix not in _SUFFIXES:
            continue
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as file:
            if size <= _WHOLE_BYTES:
                digest.update(file.read())
                continue
            for index in range(_BLOCKS):
                file.seek((size - _BLOCK) * index // (_BLOCKS - 1))
                digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _snapshot(source: HubSource) -> Path:
    """Download a hub model's safetensors and settings into the hub's own cache, or find them there."""
    download = partial(
        snapshot_download,
        source.repo,
        revision=source.commit,
        allow_patterns=_HUB_FILES,
        ignore_patterns=_HUB_NOT,
    )
    check_hub()
    try:
        return Path(download())
    except GatedRepoError as error:
        raise ModelLoadError(
            f"The hub gives {source.repo} only to those who asked; ask for it on its page, then log in "
            "with `hf auth login`."
        ) from error
    except (OfflineModeIsEnabled, HfHubHTTPError, HTTPError, LocalEntryNotFoundError) as error:
        try:
            return Path(download(local_files_only=True))
        except LocalEntryNotFoundError:
            raise ModelLoadError(
                f"{source.repo} can't be downloaded from the hub and is not whole on this machine; "
                "check the connection, and HF_HUB_OFFLINE."
            ) from error
    except OSError as error:
        if not is_full(error):
            raise
        raise ModelLoadError(
            f"The disk that holds the hub's cache is too full for {source.repo}; free some space, "
            "or set HF_HOME to a folder on another disk."
        ) from error
