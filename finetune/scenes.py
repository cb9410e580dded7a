"""Reading the scenes that a data set is made of: folders of an export, or files of single records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from scene.errors import InputError
from scene.record import SceneRecord

SCENES = "scenes.jsonl"
BESIDE = ("kind", "question_id")
"""What an export notes of the question, beside the scene."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A record and where it stands.

    Attributes:
        record: The scene.
        kind: What its question is for, where the export says so.
        question_id: Id of its question in the set it came from, if any.
        source: File and line.
    """

    record: SceneRecord
    kind: Literal["harmful", "helpful"] | None
    question_id: str | None
    source: str

    @property
    def benign(self) -> bool:
        """Whether the question may simply be answered: as the export says, else as the model judged."""
        return self.record.request == "harmless" if self.kind is None else self.kind == "helpful"


def read_scenes(paths: Sequence[Path]) -> Iterator[Scene]:
    """The scenes of folders that hold a `scenes.jsonl` and of record files, in the order given.

    Raises:
        InputError: There is no such file, or a line is no scene record.
    """
    for path in paths:
        file = path / SCENES if path.is_dir() else path
        if not file.is_file():
            missing = f"no {SCENES} in it" if path.is_dir() else "no such file or folder"
            raise InputError(f"{path} can't be read: there is {missing}; give a folder of `export`.")
        yield from _read_file(file)


def _read_file(file: Path) -> Iterator[Scene]:
    if file.suffix == ".json":
        try:
            yield _scene(file.read_bytes(), str(file))
        except ValueError as error:
            raise InputError(f"{file} is no scene record ({_fault(error)}).") from error
        return
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                scene = _scene(line, f"{file}, line {number}")
            except ValueError as error:  # Pydantic's is one too
                if file.name == SCENES and not line.endswith(b"\n"):
                    return  # the last line of an export that was killed; it plays that scene again
                raise InputError(f"{file}, line {number} is no scene record ({_fault(error)}).") from error
            yield scene


def _scene(line: bytes, source: str) -> Scene:
    data = json.loads(line)
    if not isinstance(data, dict):
        raise ValueError("it is no object")
    beside = {name: data.get(name) for name in BESIDE}
    own = {name: value for name, value in data.items() if name not in set(BESIDE) - _FIELDS}
    record = SceneRecord.model_validate(own)
    if beside["kind"] not in (None, "harmful", "helpful"):
        raise ValueError("its kind is neither harmful nor helpful")
    return Scene(record=record, kind=beside["kind"], question_id=beside["question_id"], source=source)


_FIELDS = frozenset(SceneRecord.model_fields)


def _fault(error: ValueError) -> str:
    """The first fault, without the text it was found in."""
    if isinstance(error, ValidationError):
        first = error.errors(include_input=False, include_url=False)[0]
        return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))
    return str(error)
