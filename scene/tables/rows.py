"""Rows of a table, whatever file it comes in: each with the place where it stood, bad ones reported.

Nothing is taken into memory but the row at hand. The heavier readers are imported when a table needs them.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scene.errors import InputError
from scene.tables.data_sets import load_data_set

MAX_CELL_CHARS = 16_000_000
"""Longest cell of a CSV file: room for a long document beside the question."""

_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?")


@dataclass(frozen=True, slots=True)
class TableRow:
    """One row.

    Attributes:
        place: Where it stood, such as "line 12".
        values: Its cells by column.
    """

    place: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that can't be used, and why."""

    place: str
    reason: str

    def __str__(self) -> str:
        """Place and reason in one sentence."""
        return f"{self.place}: {self.reason}"


Rows = Iterator[TableRow | BadRow]


def read_table(
    source: str, *, subset: str | None = None, split: str | None = None, data_dir: str | None = None
) -> Rows:
    """The rows of a file or data set, in their order.

    Args:
        source: A JSON Lines, CSV, TSV, Parquet or text file (by its ending), a folder that `datasets` can
            load, or a data set's id on the Hugging Face hub.
        subset: Configuration of a data set; only for `datasets`.
        split: Split of a data set; only for `datasets`, and needed where there is more than one.
        data_dir: Folder inside a data set, the only one to read; only for `datasets`.

    Raises:
        InputError: There is no such file or data set, or it can't be read at all.
    """
    path = Path(source)
    reader = _READERS.get(path.suffix.lower())
    if path.is_file() or (reader is not None and not path.is_dir()):
        if reader is None:
            raise InputError(f"{source} ends in none of {', '.join(_READERS)}; rename or convert it.")
        if subset or split:
            raise InputError(f"{source} is a file and has no subset or split; leave those options out.")
        return _opened(reader, path)
    if path.is_dir() or _HUB_ID.fullmatch(source):
        return _data_set(source, subset, split, data_dir)
    raise InputError(f"There is no file or folder {source}.")


def _opened(reader: Callable[[Path], Rows], path: Path) -> Rows:
    try:
        yield from reader(path)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error}).") from error


def _lines(path: Path) -> Iterator[tuple[str, str | None]]:
    """Lines that are not blank, each with its place; None for one that is not UTF-8."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield f"line {number}", None
            else:
                if text.strip():
                    yield f"line {number}", text.rstrip("\r\n")


def _json_lines(path: Path) -> Rows:
    for place, text in _lines(path):
        if text is None:
            yield BadRow(place, "it is not UTF-8 text")
            continue
        if path.suffix.lower() == ".json" and text.startswith("["):
            raise InputError(f"{path} holds one JSON list; write one object a line (`jq -c '.[]'` does).")
        try:
            values = json.loads(text)
        except (ValueError, RecursionError):
            yield BadRow(place, "it is not valid JSON")
        else:
            yield TableRow(place, values) if isinstance(values, dict) else BadRow(place, "it is no object")


def _text(path: Path) -> Rows:
    for place, text in _lines(path):
        yield BadRow(place, "it is not UTF-8 text") if text is None else TableRow(place, {"question": text})


def _separated(delimiter: str) -> Callable[[Path], Rows]:
    def read(path: Path) -> Rows:
        csv.field_size_limit(MAX_CELL_CHARS)
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
            table = csv.reader(file, delimiter=delimiter, strict=True)
            header = _header(table, path)
            while True:
                first = table.line_num + 1
                try:
                    cells = next(table)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield BadRow(_span(first, table.line_num), f"it is not valid CSV ({error})")
                    continue
                if cells:
                    yield _csv_row(f"line {first}", header, cells)

    return read


def _header(table: Iterator[list[str]], path: Path) -> list[str]:
    try:
        header = next(table, [])
    except csv.Error as error:
        raise InputError(f"{path}: its first line is no header ({error}).") from error
    if len(set(header)) != len(header):
        raise InputError(f"{path}: two columns have the same name; rename one.")
    return header


def _csv_row(place: str, header: list[str], cells: list[str]) -> TableRow | BadRow:
    if len(cells) != len(header):
        return BadRow(place, f"it has {len(cells)} cells where the header has {len(header)}")
    if any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
        return BadRow(place, "it is not UTF-8 text")
    return TableRow(place, dict(zip(header, cells, strict=True)))


def _span(first: int, last: int) -> str:
    """The lines that a quote left open has swallowed."""
    return f"line {first}" if last <= first else f"lines {first} to {last}"


def _parquet(path: Path) -> Rows:
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            rows = (row for batch in file.iter_batches(1024) for row in batch.to_pylist())
            for number, values in enumerate(rows, start=1):
                yield TableRow(f"row {number}", values)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path} is no whole Parquet file ({str(error).splitlines()[0]}).") from error


def _data_set(source: str, subset: str | None, split: str | None, data_dir: str | None) -> Rows:
    """Rows of a folder or hub id, loaded by `datasets`."""
    import datasets
    import pyarrow

    try:
        if (Path(source) / "dataset_dict.json").is_file() or (Path(source) / "state.json").is_file():
            loaded = datasets.load_from_disk(source)
        else:
            loaded = load_data_set(source, subset, data_dir=data_dir)
    except (datasets.exceptions.DatasetsError, pyarrow.ArrowException, OSError, ValueError) as error:
        raise InputError(
            f"{source} is no file, and `datasets` can't load it as a data set: {str(error).splitlines()[0]}"
        ) from error
    if isinstance(loaded, datasets.Dataset):
        if split:
            raise InputError(f"{source} has no splits; leave --split out.")
        chosen = loaded
    elif (split is None and len(loaded) > 1) or (split is not None and split not in loaded):
        raise InputError(f"{source} has the splits {', '.join(loaded)}; choose one with --split.")
    else:
        chosen = loaded[split or next(iter(loaded))]
    return (TableRow(f"row {number}", values) for number, values in enumerate(chosen, start=1))


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _separated(","),
    ".tsv": _separated("\t"),
    ".parquet": _parquet,
    ".txt": _text,
}
