"""How an export goes, on a terminal and off it."""

import io

import pytest
from rich.console import Console

from cli.views.export_view import ExportView
from scene.export import Counts
from scene.record import Message, ModelCall
from tests.exported import failure, record


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def call(prompt: int, completion: int, cached: int) -> ModelCall:
    return ModelCall(
        node="respond",
        role=None,
        turn=None,
        call="respond",
        attempt=0,
        prompt=(Message(role="user", content="Why?"),),
        completion="So.",
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=cached,
        seconds=0.1,
    )


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("cli.views.export_view.time.monotonic", lambda: now[0])
    return now


COUNTS = Counts(questions=10, done=2, failed=1, pending=7)


def test_figures(clock):
    view = ExportView(Console(file=io.StringIO()), COUNTS, left=7)
    assert view.line() == "2 of 10 done · 1 failed · 0 running · 0 tokens/s"
    for _ in range(3):
        view.began(None)
    view.spent(call(100, 30, 0))
    clock[0] += 60
    view.ended(None, record(1))
    assert view.line() == "3 of 10 done · 1 failed · 2 running · 60 scenes/h · 0 tokens/s · 0:06:00 left"
    view.spent(call(100, 570, 150))
    view.ended(None, failure(2))
    view.ended(None, None)  # put off
    assert view.line() == (
        "3 of 10 done · 2 failed · 0 running · 120 scenes/h · 10 tokens/s · prefix cache 75% · 0:02:30 left"
    )


def test_scenes_under_way_count_by_their_calls(clock):
    whole = record(1)
    calls = sum(cost.calls for cost in whole.cost.values())
    view = ExportView(Console(file=io.StringIO()), COUNTS, left=7)
    for _ in range(3):
        view.began(None)
    for _ in range(2 * calls):  # one scene's, and half of either other one's
        view.spent(call(1, 0, 0))
    clock[0] += 60
    view.ended(None, whole)
    assert view.line().endswith("120 scenes/h · 0 tokens/s · 0:02:30 left")
    for _ in range(3 * calls):  # no scene under way counts for more than one
        view.spent(call(1, 0, 0))
    assert view.line().endswith("180 scenes/h · 0 tokens/s · 0:01:20 left")


def test_a_line_now_and_then_outside_a_terminal(clock):
    file = io.StringIO()
    with ExportView(Console(file=file, width=40), COUNTS, left=7) as view:
        for number in range(7):
            view.began(None)
            clock[0] += 12
            view.ended(None, record(number))
    lines = file.getvalue().splitlines()
    assert [line.partition(" done")[0] for line in lines] == ["5 of 10", "8 of 10", "9 of 10"]


def test_a_line_before_the_first_scene_ends(clock):
    """Scenes that begin together end together, a quarter of an hour later with a small processor."""
    file = io.StringIO()
    with ExportView(Console(file=file, width=40), COUNTS, left=7) as view:
        view.began(None)
        for _ in range(4):
            clock[0] += 20
            view.spent(call(100, 30, 0))
    assert file.getvalue().splitlines() == [
        "2 of 10 done · 1 failed · 1 running · 2 tokens/s",
        "2 of 10 done · 1 failed · 1 running · 2 tokens/s",
    ]


def test_a_bar_on_a_terminal(monkeypatch, clock):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with ExportView(Console(file=file, width=70), COUNTS, left=7) as view:
        view.began(None)
        view.ended(None, record(1))
        view._live.refresh()
    said = file.getvalue()
    assert "━" in said
    assert "3 of 10 done · 1 failed · 0 running" in said
    assert "\x1b[?25h" in said
