"""Rows of a table, whatever file it comes in: each with the place where it stood, bad ones reported.

Nothing is taken into memory but the row at hand. The heavier readers are imported when a table needs them.
"""

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scene.errors import InputError, reason
from scene.tables.data_sets import Split, saying_why, splits_of
from scene.tables.dialect import encoding_of, table_lines

MAX_CELL_CHARS = 16_000_000
"""Longest cell of a CSV file: room for a long document beside the question."""

BATCH_ROWS = 64
"""Rows of a Parquet file in memory at once; each may hold a long document."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")
_NO_TEXT = re.compile("[\0\udc80-\udcff]")
"""What is left in a text of bytes that it can't be decoded from."""


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row: its cells by column, and where it stood, such as "line 12"."""

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be used, and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


Rows = Iterator[TableRow | BadRow]


def read_table(
    source: str, *, subset: str | None = None, split: str | None = None, data_dir: str | None = None
) -> Rows:
    """The rows of a file or data set, in their order.

    Args:
        source: A JSON Lines, CSV, TSV, Parquet or text file (by its ending), a folder of such or of what
            `datasets` can load, or a data set's id on the Hugging Face hub.
        subset: Configuration of a data set.
        split: Split of a data set; needed where there is more than one.
        data_dir: Folder inside a data set, the only one to read.

    Raises:
        InputError: There is no such file or data set, or it can't be read at all.
    """
    path = Path(source)
    reader = _READERS.get(path.suffix.lower())
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{source} is a pipe or device; save what comes out of it as a file first.")
    if path.is_file() or (reader is not None and not path.is_dir()):
        if reader is None:
            raise InputError(f"{source} ends in none of {', '.join(_READERS)}; rename or convert it.")
        if subset or split:
            raise InputError(f"{source} is a file and has no subset or split; leave those options out.")
        return _opened(reader, path)
    if not source or (not path.is_dir() and not _HUB_ID.fullmatch(source)):
        raise InputError(f"There is no file or folder {source}.")
    splits = read_splits(source, subset=subset, data_dir=data_dir)
    if split and None in splits:
        raise InputError(f"{source} has no splits; leave --split out.")
    if (split is None and len(splits) > 1) or (split is not None and split not in splits):
        raise InputError(f"{source} has the splits {', '.join(map(str, splits))}; choose one with --split.")
    return splits[split] if split else next(iter(splits.values()))


def read_splits(
    source: str, *, subset: str | None = None, data_dir: str | None = None
) -> dict[str | None, Rows]:
    """The rows of every split of a data set; a file, of all that `datasets` takes for JSON, is a train split.

    Raises:
        InputError: There is no such file or data set, or it can't be read at all.
    """
    path = Path(source)
    if path.is_file() and subset:
        raise InputError(f"{source} is a file and has no subset; leave that option out.")
    if path.exists() and not path.is_dir() and _is_readable(path):
        return {"train": read_table(source)}
    if not source or (not path.exists() and not _HUB_ID.fullmatch(source)):
        raise InputError(f"{source} can't be loaded as a data set, since there is no such file or folder.")
    splits = splits_of(source, subset, data_dir, readable=_is_readable)
    return {name: _rows(source, name, split) for name, split in splits.items()}


def _is_readable(path: Path) -> bool:
    return path.suffix.lower() in _READERS


def _rows(source: str, name: str | None, split: Split) -> Rows:
    if not isinstance(split, list):
        with saying_why(source):
            for number, values in enumerate(split, start=1):
                yield TableRow(f"{name} row {number}" if name else f"row {number}", values)
        return
    for path in split:
        folder = Path(source).resolve()
        where = path.relative_to(folder) if path.is_relative_to(folder) else path
        for row in read_table(str(path)):
            yield replace(row, place=f"{where}, {row.place}")


def _opened(reader: Callable[[Path], Rows], path: Path) -> Rows:
    try:
        yield from reader(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error}).") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no whole {error.encoding.upper()} text; save it as UTF-8.") from error


def _lines(path: Path) -> Iterator[tuple[str, str | None]]:
    """Lines that are not blank, each with its place; None for one that is no text."""
    with path.open(encoding=encoding_of(path), errors="surrogateescape") as file:
        for number, text in enumerate(file, start=1):
            if _NO_TEXT.search(text):
                yield f"line {number}", None
            elif text.strip():
                yield f"line {number}", text.rstrip("\n")


def _json_lines(path: Path) -> Rows:
    for place, text in _lines(path):
        if text is None:
            yield BadRow(place, "it is not UTF-8 text")
            continue
        if path.suffix.lower() == ".json" and (text.lstrip().startswith("[") or text.strip() == "{"):
            yield from _json_whole(path)
            return
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            yield BadRow(place, "it is not valid JSON")
        else:
            yield TableRow(place, values) if isinstance(values, dict) else BadRow(place, "it is no object")


def _json_whole(path: Path) -> Rows:
    """The objects of a file that is one JSON list or object, read whole: who wrote it had room for it too."""
    text = path.read_text(encoding=encoding_of(path)).lstrip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        kind = "list" if text.startswith("[") else "object"
        raise InputError(f"{path} begins as a JSON {kind} and is not valid JSON ({error}).") from error
    for number, values in enumerate(found if isinstance(found, list) else [found], start=1):
        place = f"row {number}"
        yield TableRow(place, values) if isinstance(values, dict) else BadRow(place, "it is no object")


def _text(path: Path) -> Rows:
    for place, text in _lines(path):
        yield BadRow(place, "it is not UTF-8 text") if text is None else TableRow(place, {"question": text})


def _separated(delimiter: str) -> Callable[[Path], Rows]:
    def read(path: Path) -> Rows:
        csv.field_size_limit(MAX_CELL_CHARS)
        with path.open(encoding=encoding_of(path), errors="surrogateescape", newline="") as file:
            lines, found, before = table_lines(file, delimiter)
            table = csv.reader(lines, delimiter=found, strict=True)
            header = _header(table, path)
            while True:
                first = before + table.line_num + 1
                try:
                    cells = next(table)
                except StopIteration:
                    return
                except csv.Error as error:  # a quote left open swallows lines
                    last = before + table.line_num
                    where = f"line {first}" if last <= first else f"lines {first} to {last}"
                    yield BadRow(where, f"it is not valid CSV ({error})")
                    continue
                if cells:
                    yield _csv_row(f"line {first}", header, cells)

    return read


def _header(table: Iterator[list[str]], path: Path) -> list[str]:
    """The names of the columns; what spreadsheets leave empty behind them is none."""
    try:
        header = next(filter(None, table), [])
    except csv.Error as error:
        raise InputError(f"{path}: its first line is no header ({error}).") from error
    _check_names([name for name in header if name.strip()], path)
    while header and not header[-1].strip():
        header.pop()
    return header


def _check_names(named: list[str], path: Path) -> None:
    if twice := next((name for name in named if named.count(name) > 1), None):
        raise InputError(f"{path}: two columns have the same name, {twice!r}; rename one.")


def _csv_row(place: str, header: list[str], cells: list[str]) -> TableRow | BadRow:
    while len(cells) > len(header) and not cells[-1]:
        cells.pop()
    if len(cells) != len(header):
        return BadRow(place, f"it has {len(cells)} cells where the header has {len(header)}")
    if any(map(_NO_TEXT.search, cells)):
        return BadRow(place, "it is not UTF-8 text")
    return TableRow(place, {name: cell for name, cell in zip(header, cells, strict=True) if name.strip()})


def _parquet(path: Path) -> Rows:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with path.open("rb") as opened, ParquetFile(opened, buffer_size=1 << 20) as file:
            _check_names(file.schema_arrow.names, path)
            rows = (row for batch in file.iter_batches(BATCH_ROWS) for row in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield TableRow(f"row {number}", values)
    except (pyarrow.ArrowException, ValueError, ArithmeticError) as error:  # these of dates beyond Python's
        raise InputError(f"{path} is no whole Parquet file ({reason(error)}).") from error


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
    ".txt": _text,
}
