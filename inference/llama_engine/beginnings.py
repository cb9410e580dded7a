"""Beginnings of prompts that are the same in every scene, kept on disk for the next process.

Their keys and values are what a model makes of tokens: a folder for each model, adapter and version of the
library, and in it a file for each beginning, named by its last block's name.
"""

import json
import logging
import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from inference.batching.blocks import PAGE
from inference.environment import switch
from inference.llama_engine.library import VERSION
from inference.llama_engine.states import Page
from inference.models.cache import cache_folder, marked
from scene.files import replace_file
from scene.nouns import ModelIdentity

_LOG = logging.getLogger(__name__)

FOLDER = "beginnings"

LAYOUT = 1
"""Raised when the same tokens would give other keys and values, or the files hold something else."""

MOST_BYTES = 512 * 2**20
"""Of all models together; the least recently used make room. The default model's take 115 MB."""

_MARKER = "computed_by.json"


class Beginnings:
    """What one model makes of beginnings.

    Nothing here fails a request: what can't be read is computed, and what can't be written is not kept.
    """

    def __init__(self, folder: Path, model: str, revision: str, limit: int = MOST_BYTES) -> None:
        self._folder = folder
        self._made = {"model": model, "revision": revision}
        self._limit = limit
        self._usable = True

    def has(self, blocks: Sequence[bytes]) -> bool:
        """Whether a beginning of these blocks is here, or can't be kept."""
        try:
            return not self._usable or self._path(blocks).exists()
        except OSError as error:
            self._give_up(error)
            return True

    def read(self, blocks: Sequence[bytes]) -> list[Page] | None:
        """The pages of a beginning; None where it is not here or damaged."""
        path = self._path(blocks)
        try:
            if not self._usable or not path.exists():
                return None
            pages = _unpacked(path, len(blocks))
            if pages is None:
                _LOG.warning("A kept beginning of a prompt is damaged and is computed again: %s", path)
                path.unlink()
            else:
                os.utime(path)
        except FileNotFoundError:  # another process has just made room
            return None
        except OSError as error:
            self._give_up(error)
            return None
        return pages

    def write(self, blocks: Sequence[bytes], pages: Sequence[Page]) -> None:
        """Keep a beginning: one page for each of its blocks."""
        keys, values = np.stack([page.keys for page in pages]), np.stack([page.values for page in pages])
        data = save({"keys": keys, "values": values, "sum": _checksum(pages)})
        if not self._usable or len(data) > self._limit:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            if not (self._folder / _MARKER).exists():
                replace_file(self._folder / _MARKER, json.dumps(self._made))
            _make_room(self._folder.parent, self._limit - len(data))
            replace_file(self._path(blocks), data)
        except OSError as error:
            self._give_up(error)

    def _path(self, blocks: Sequence[bytes]) -> Path:
        return self._folder / f"{blocks[-1].hex()}.safetensors"

    def _give_up(self, error: OSError) -> None:
        self._usable = False
        _LOG.warning(
            "Beginnings of prompts can't be kept in %s (%s); they are computed anew.",
            self._folder,
            error.strerror or error,
        )


def beginnings_of(identity: ModelIdentity) -> Beginnings | None:
    """Where a model's beginnings are kept; None where that is switched off or nothing pins its weights.

    Raises:
        InputError: `MONOPOLYLOGUE_NO_BEGINNINGS` says neither yes nor no.
    """
    if switch("NO_BEGINNINGS") or identity.revision is None:
        return None
    folder = cache_folder() / FOLDER / f"{identity.revision[:32]}-{VERSION}-v{LAYOUT}"
    return Beginnings(folder, identity.id, identity.revision)


def made_from(folder: Path) -> list[str] | None:
    """Name and revision of the model whose beginnings a folder in the cache holds; None if it holds none."""
    return marked(folder, _MARKER, "model", "revision")


def _make_room(root: Path, limit: int) -> None:
    """Remove files that were not used for the longest time, also what a process did not finish writing."""
    found = sorted(_files(root), reverse=True)
    total = 0
    for _, size, path in found:
        total += size
        if total > limit:
            path.unlink(missing_ok=True)


def _files(root: Path) -> Iterator[tuple[float, int, Path]]:
    """When each file was used last, its bytes, and where it is."""
    for path in root.glob("*/*"):
        try:
            state = path.stat()
        except FileNotFoundError:
            continue
        if path.name != _MARKER:
            yield state.st_mtime, state.st_size, path


def _unpacked(path: Path, blocks: int) -> list[Page] | None:
    """The pages of so many blocks in a file; None if it is damaged."""
    try:
        with safe_open(path, framework="np") as file:
            # Page by page, so that dropping one frees its memory.
            keys, values = file.get_slice("keys"), file.get_slice("values")
            if len(keys.get_shape()) != 4 or keys.get_shape()[0] != blocks:
                return None
            pages = [Page(keys[place], values[place]) for place in range(blocks)]
            whole = all(page.keys.shape[1] == page.values.shape[2] == PAGE for page in pages)
            return pages if whole and (file.get_tensor("sum") == _checksum(pages)).all() else None
    except (SafetensorError, LookupError):
        return None


def _checksum(pages: Sequence[Page]) -> NDArray[np.uint32]:
    """Of content and shape."""
    total = zlib.crc32(repr([(page.keys.shape, page.values.shape) for page in pages]).encode())
    for page in pages:
        total = zlib.crc32(page.values.data, zlib.crc32(page.keys.data, total))
    return np.array([total], dtype=np.uint32)
