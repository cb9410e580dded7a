"""Files that a page let somebody download, or that a command wrote for another: one noun a line, checked."""

from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from scene.errors import InputError
from scene.nouns import Noun, first_fault
from scene.tables.rows import BadRow, read_table

_Line = TypeVar("_Line", bound=Noun)


def read_nouns(path: Path, shape: type[_Line], what: str) -> Iterator[_Line]:
    """The nouns of a file, in their order; `what` one of them is called, for the refusal.

    Raises:
        InputError: There is no such file, or a line holds anything else.
    """
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    for row in read_table(str(path)):
        if isinstance(row, BadRow):
            raise InputError(f"{path}, {row}.")
        try:
            yield shape.model_validate(row.values)
        except ValidationError as error:
            raise InputError(f"{path}, {row.place} is no {what} ({first_fault(error)}).") from error
