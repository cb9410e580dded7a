"""What the console makes of plain strings."""

import io

from rich.table import Table

from cli.views.console import plain_console
from tests.hostile import HOSTILE


def test_no_plain_string_acts_on_the_terminal() -> None:
    console = plain_console()
    console.file = io.StringIO()
    console.print(f"Written to {HOSTILE}.", soft_wrap=True)
    table = Table(HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE)
    console.print(table)
    shown = console.file.getvalue()
    assert "[red]rich[/red]" in shown
    for char in "\x1b\x9b\x07\x00\u202e\u2066\u200f\ud800":
        assert char not in shown
