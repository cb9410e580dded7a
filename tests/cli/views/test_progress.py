"""What is shown while a model is fetched, converted and loaded."""

import io
from contextlib import suppress

import pytest
from rich.console import Console

from cli.views.progress import Loading, Working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def console(file: io.StringIO) -> Console:
    return Console(file=file, width=80, highlight=False, markup=False)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


def report(loading: Loading) -> None:
    for done in range(0, 1001, 5):
        loading("fetch", done * 10**6, 10**9)
    loading("convert", 0, 3)
    loading("convert", 3, 3)
    loading("load", 0, 1)
    loading("load", 1, 1)


def test_plain_lines_outside_a_terminal():
    file = io.StringIO()
    with Loading(console(file), "a[b]\x1b") as loading:
        report(loading)
    lines = file.getvalue().splitlines()
    assert lines[0] == "Fetching a[b]: 1.0 GB"
    assert lines[1:11] == [f"Fetching a[b]: {percent}% of 1.0 GB" for percent in range(10, 101, 10)]
    assert lines[11:] == ["Converting a[b]", "Loading a[b]"]


def test_bar_with_sizes_on_a_terminal(terminal):
    with Loading(console(terminal), "default") as loading:
        report(loading)
    said = terminal.getvalue()
    assert "1.0 GB" in said
    for done in ("Fetched", "Converted", "Loaded"):
        assert f"{done} default in 0 s." in said
    assert said.count("\x1b[?25h") == 3


def test_bar_goes_away_when_loading_fails(terminal):
    with suppress(KeyboardInterrupt), Loading(console(terminal), "default") as loading:
        loading("fetch", 0, 10)
        raise KeyboardInterrupt
    assert "\x1b[?25h" in terminal.getvalue()
    assert "Fetched" not in terminal.getvalue()


def test_status_line_only_on_a_terminal(terminal):
    file = io.StringIO()
    for target in (file, terminal):
        with Working(console(target)) as working:
            working.say("role_init · 3 calls")
    assert file.getvalue() == ""
    assert "role_init · 3 calls" in terminal.getvalue()


def test_no_status_line_on_a_pipe_that_is_promised_colours(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    with Working(console(file)) as working:
        working.say("respond · 0 calls")
    assert file.getvalue() == ""
