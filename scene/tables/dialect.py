"""How a file of text is written: in which encoding, and with what between its cells."""

import csv
import json
import re
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import IO

DELIMITERS = ",;\t|"

_SEP_LINE = re.compile(r'"?sep=(.)"?[\r\n]*', re.IGNORECASE)
"""Excel's word to itself about what parts the cells."""


def encoding_of(path: Path) -> str:
    """How a file is written, as its beginning tells; see `encoding_in`."""
    with path.open("rb") as file:
        return encoding_in(file.read(4096))


def encoding_in(start: bytes) -> str:
    """What a byte-order mark says; else UTF-16 if every other byte alone is often zero, else UTF-8."""
    if (marked := json.detect_encoding(start[:4])) in ("utf-8-sig", "utf-16", "utf-32"):
        return marked
    zeros = {"utf-16-be": start[::2].count(0), "utf-16-le": start[1::2].count(0)}
    name, most = max(zeros.items(), key=lambda one: one[1])
    return name if 4 * most > len(start) and 8 * min(zeros.values()) < most else "utf-8"


def table_lines(file: IO[str], usual: str) -> tuple[Iterator[str], str, int]:
    """The lines of a table of separated values from its header on, the delimiter, and the lines before it.

    The usual delimiter is the one that files of its ending have.
    """
    number, first = next(((n, line) for n, line in enumerate(file, start=1) if line.strip()), (1, ""))
    if named := _SEP_LINE.fullmatch(first):
        return file, named[1], number
    return chain([first], file), _delimiter(first, usual), number - 1


def _delimiter(header: str, usual: str) -> str:
    """The usual one, unless the header has but one column of it and several of another."""
    columns = {delimiter: _columns(header, delimiter) for delimiter in usual + DELIMITERS}
    return usual if columns[usual] > 1 else max(columns, key=lambda delimiter: columns[delimiter])


def _columns(header: str, delimiter: str) -> int:
    try:
        return len(next(csv.reader([header], delimiter=delimiter, strict=True), []))
    except csv.Error:
        return 0
