"""Figures in the table and in the file."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.measure import shared_prefix, short
from benchmarks.report import compared, read, show, write


def test_figures(tmp_path: Path) -> None:
    some = compared("speed", 300.04, "tokens/s", baseline=25.0, ceiling=400), compared("size", 1.5, "GB")
    figures = {figure.name: figure for figure in some}
    write(figures, tmp_path / "bench.json")
    assert read(tmp_path / "bench.json") == figures
    fast, size = json.loads((tmp_path / "bench.json").read_text())
    assert fast == {
        "name": "speed", "value": 300.0, "unit": "tokens/s", "baseline": 25.0, "ratio": 12.0, "ceiling": 400,
    }  # fmt: skip
    assert size["ratio"] is None
    out = io.StringIO()
    show(some, Console(file=out, width=100))
    assert "12.0x" in out.getvalue()


def test_workloads_are_as_said() -> None:
    assert len({request.messages for request in short(128)}) == 128
    texts = [request.messages[0].content for request in shared_prefix(64)]
    assert len(set(texts)) == 64
    assert len({text.partition("As for today")[0] for text in texts}) == 1
    with pytest.raises(ValueError, match="there are 128"):
        short(129)
