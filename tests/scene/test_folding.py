"""No table loses a letter, however narrow the terminal."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from scene.folding import FoldingTable

ROWS = [
    ("modulator_routing", "12", "34,600 (29,000)"),
    ("https://example.org/" + "x" * 60, "1,234", "é 你好"),
]


def shown(width: int, *, header: bool = True) -> str:
    table = FoldingTable(title="What a scene cost", show_header=header)
    table.add_column("Node")
    table.add_column("Calls", justify="right")
    table.add_column(Text("Prompt tokens (cached)"), justify="right", overflow="ellipsis")
    for row in ROWS:
        table.add_row(*map(Text, row))
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(table)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    return "\n".join(lines)


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("width", [12, 20, 40, 60, 80, 120])
def test_every_letter_is_there(width: int, header: bool) -> None:
    text = shown(width, header=header)
    assert "…" not in text
    for letter in "".join(map("".join, ROWS)).replace(" ", ""):
        assert text.count(letter) >= sum(cell.count(letter) for row in ROWS for cell in row)


def test_where_there_is_no_room_for_columns_rows_are_told_field_by_field() -> None:
    assert shown(36).splitlines()[:6] == [
        "What a scene cost",
        "",
        "Node: modulator_routing",
        "Calls: 12",
        "Prompt tokens (cached): 34,600 ",
        "(29,000)",
    ]
    assert "─" in shown(60)


def test_labels_without_a_header_stand_in_one_line() -> None:
    table = FoldingTable.grid()
    for _ in range(4):
        table.add_column()
    table.add_row("", Text("--max-interactions"), Text("NUMBER"), Text("Most actions before the scene ends."))
    console = Console(width=28, file=io.StringIO(), record=True)
    console.print(table)
    assert [line.rstrip() for line in console.export_text().splitlines()] == [
        "--max-interactions NUMBER",
        "  Most actions before the",
        "  scene ends.",
    ]
