"""Figures as a table and as JSON."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scene.files import replace_file

GB = 1e9
"""Bytes of a gigabyte, the unit of the targets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure.

    Baseline and ceiling, which is what the engine does in its best case, are in the same unit; the ratio
    says how many times better than the baseline it is.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    ceiling: float | None = None


def compared(
    name: str, value: float, unit: str, *, baseline: float | None = None, ceiling: float | None = None
) -> Figure:
    """A figure with its ratio to a baseline."""
    ratio = round(value / baseline, 2) if baseline else None
    return Figure(
        name=name,
        value=_rounded(value),
        unit=unit,
        baseline=None if baseline is None else _rounded(baseline),
        ratio=ratio,
        ceiling=None if ceiling is None else _rounded(ceiling),
    )


def write(figures: dict[str, Figure], path: Path) -> None:
    """Write figures as a JSON list; a run that is killed meanwhile leaves the list that was there."""
    replace_file(path, json.dumps([asdict(figure) for figure in figures.values()], indent=2) + "\n")


def read(path: Path) -> dict[str, Figure]:
    """Figures that were written, by name; none where there is no file."""
    if not path.exists():
        return {}
    return {figure["name"]: Figure(**figure) for figure in json.loads(path.read_text(encoding="utf-8"))}


def show(figures: Iterable[Figure], console: Console) -> None:
    """Print figures as a table."""
    table = Table(box=None, pad_edge=False)
    for column in ("", "value", "unit", "baseline", "ratio", "ceiling"):
        table.add_column(column, justify="left" if column in ("", "unit") else "right")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{_text(figure.ratio)}x"
        table.add_row(
            figure.name,
            _text(figure.value),
            figure.unit,
            _text(figure.baseline),
            ratio,
            _text(figure.ceiling),
        )
    console.print(table)


def _rounded(value: float) -> float:
    return round(value, 3 if abs(value) < 10 else 1)


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f}" if abs(value) >= 10 else f"{value:.2f}"
