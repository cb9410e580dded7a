"""GGUF models in several files, `NAME-00001-of-00003.gguf` and on: found, pinned and joined as one."""

from __future__ import annotations

import hashlib
import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from inference.models.cache import content_digest
from scene.errors import ModelLoadError

if TYPE_CHECKING:
    from gguf import GGUFReader

_PART = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf")
# What the library adds to a file's own pairs, and what only a part has.
_NOT_THE_MODELS = ("GGUF.", "split.")


def parts_of(path: Path) -> tuple[Path, ...]:
    """All files of the model that a file belongs to, in order; the file alone where it is the whole.

    Raises:
        ModelLoadError: A part is missing.
    """
    named = _PART.fullmatch(path.name)
    if named is None:
        return (path,)
    count = int(named["count"])
    parts = tuple(
        path.with_name(f"{named['stem']}-{number:05}-of-{count:05}.gguf") for number in range(1, count + 1)
    )
    if missing := [part.name for part in parts if not part.is_file()]:
        raise ModelLoadError(
            f"{path} is one of {count} parts of a model, and {', '.join(missing)} is not beside it; "
            "put all parts into one folder."
        )
    return parts


def gguf_digest(path: Path) -> str:
    """SHA-256 of a GGUF file, remembered; of a model in several parts, over those of all.

    Raises:
        ModelLoadError: A part is missing, or the cache folder can't be written.
    """
    digests = [content_digest(part) for part in parts_of(path)]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


@contextmanager
def whole(path: Path, scratch: Path) -> Iterator[Path]:
    """One file with all of a model, for readers that know of no parts.

    Raises:
        ModelLoadError: A part is damaged.
    """
    parts = parts_of(path)
    if len(parts) == 1:
        yield path
        return
    joined = scratch / "joined.gguf"
    try:
        _join(parts, joined)
        yield joined
    finally:
        joined.unlink(missing_ok=True)


def _join(parts: tuple[Path, ...], target: Path) -> None:
    """Write the first part's pairs and every part's tensors: header, pairs, table of tensors, tensors."""
    readers = [_read(part) for part in parts]
    pairs = [field for key, field in readers[0].fields.items() if not key.startswith(_NOT_THE_MODELS)]
    tensors = [tensor for reader in readers for tensor in reader.tensors]
    unit = readers[0].alignment
    with target.open("wb") as file:
        file.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(pairs)))
        for field in pairs:
            file.writelines(part.tobytes() for part in field.parts)
        offset = 0
        for tensor in tensors:
            file.writelines(part.tobytes() for part in tensor.field.parts[:-1])
            file.write(struct.pack("<Q", offset))
            offset += -(-tensor.n_bytes // unit) * unit
        for tensor in tensors:
            file.write(bytes(-file.tell() % unit))
            file.write(tensor.data.data)


def _read(part: Path) -> GGUFReader:
    from gguf import GGUFReader

    try:
        return GGUFReader(part)
    except (ValueError, IndexError, KeyError) as error:
        raise ModelLoadError(f"{part} is cut off or damaged; download it again.") from error
