"""A digest that pins a model folder's weights without reading all of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

_WHOLE_BYTES = 16 * 2**20
_BLOCK = 64 * 2**10
_BLOCKS = 64
_REPORTS = {"metrics.json", "loss.json"}
"""What a training writes beside the weights, and what differs in time alone where it is done again."""
_SUFFIXES = {".json", ".jinja", ".model", ".txt", ".safetensors"}


def folder_digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, over the names, sizes and content of a model folder's files.

    Not over how its training went: the same weights, trained again, are the same model.

    Of a file over 16 MiB, 64 blocks spread over it stand for the whole: a model that was trained on or
    merged differs in all of them, and a folder of any size takes a moment.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in _REPORTS and _is_part(path):
            _add_file(digest, path)
    return digest.hexdigest()


def _is_part(path: Path) -> bool:
    return path.suffix in _SUFFIXES


def _add_file(digest: hashlib._Hash, path: Path) -> None:
    size = path.stat().st_size
    digest.update(f"{path.name}\0{size}\0".encode())
    with path.open("rb") as file:
        if size <= _WHOLE_BYTES:
            digest.update(file.read())
            return
        for index in range(_BLOCKS):
            file.seek((size - _BLOCK) * index // (_BLOCKS - 1))
            digest.update(file.read(_BLOCK))
