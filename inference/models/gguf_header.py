"""The metadata of a GGUF file, in milliseconds and without torch.

`gguf.GGUFReader` takes seconds, since it builds an object for each of 150,000 vocabulary entries; here
arrays are skipped. Layout: magic, version, tensor count, pair count, then pairs of key and typed value.
"""

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.models.gguf_parts import parts_of
from scene.errors import ModelLoadError

Scalar = str | int | float | bool

_STRING, _ARRAY = 8, 9
_CODES = {**dict(enumerate("BbHhIif?")), 10: "Q", 11: "q", 12: "d"}
_FIXED = {code: struct.Struct(f"<{letter}") for code, letter in _CODES.items()}
_LENGTH = struct.Struct("<Q")
_TYPE = struct.Struct("<I")
_START = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says about itself.

    Attributes:
        architecture: Such as `llama` or `qwen2`.
        values: Every metadata value but arrays, by key.
    """

    architecture: str
    values: Mapping[str, Scalar]

    @property
    def context_tokens(self) -> int | None:
        """Size of the context window in tokens, where the file says so."""
        value = self.values.get(f"{self.architecture}.context_length")
        return value if isinstance(value, int) else None


def read_header(path: Path) -> GgufHeader:
    """Read the metadata of a GGUF file.

    Raises:
        ModelLoadError: The file is not GGUF, is cut off, or can't be read; or it is a part of a model
            and not named so.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            values = _read_values(data)
        _check_part(path, values)
        return GgufHeader(str(values["general.architecture"]), values)
    except (ValueError, KeyError, struct.error) as error:
        raise ModelLoadError(
            f"{path} is not a readable GGUF file; download it again, or give another model."
        ) from error
    except OSError as error:
        raise ModelLoadError(f"{path} can't be read ({error.strerror}).") from error


def _check_part(path: Path, values: Mapping[str, Scalar]) -> None:
    """See that a file that is the first of several parts is named as one, so that the others are found."""
    number, count = (int(values.get(f"split.{key}", 0)) for key in ("no", "count"))
    if (number, max(count, 1)) != (0, len(parts_of(path))):
        raise ModelLoadError(
            f"{path} holds part {number + 1} of {max(count, 1)} of a model, and is not named so; give all "
            "parts the names that they came with, such as NAME-00001-of-00003.gguf."
        )


def _read_values(data: mmap.mmap) -> dict[str, Scalar]:
    magic, version, _tensors, pairs = _START.unpack_from(data, 0)
    if magic != b"GGUF" or version not in _VERSIONS:
        raise ValueError("no GGUF of a known version")
    values: dict[str, Scalar] = {}
    position = _START.size
    for _ in range(pairs):
        key, position = _read_string(data, position)
        (kind,) = _TYPE.unpack_from(data, position)
        position += _TYPE.size
        if kind == _ARRAY:
            position = _skip_array(data, position)
        elif kind == _STRING:
            values[key], position = _read_string(data, position)
        else:
            fixed = _FIXED[kind]
            (values[key],) = fixed.unpack_from(data, position)
            position += fixed.size
    return values


def _read_string(data: mmap.mmap, position: int) -> tuple[str, int]:
    (length,) = _LENGTH.unpack_from(data, position)
    start = position + _LENGTH.size
    if start + length > len(data):
        raise ValueError("the file ends inside a string")
    return data[start : start + length].decode("utf-8", "replace"), start + length


def _skip_array(data: mmap.mmap, position: int) -> int:
    (kind,) = _TYPE.unpack_from(data, position)
    (count,) = _LENGTH.unpack_from(data, position + _TYPE.size)
    position += _TYPE.size + _LENGTH.size
    if kind in _FIXED:
        return position + int(count) * _FIXED[kind].size
    if kind != _STRING:
        raise ValueError("an array of something that is neither a number nor a string")
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(data, position)
        position += _LENGTH.size + int(length)
    return position
