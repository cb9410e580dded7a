"""How an export goes, on a terminal and off it."""

import io

import pytest
from rich.console import Console

from cli.views.export_view import ExportView
from scene.export import Counts
from scene.record import Message, ModelCall
from tests.exported import failure, record
from tests.graph.test_batch import job


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
JOBS = [job(number) for number in range(7)]


def view_of(console: Console, known=0, under_way=None) -> ExportView:
    return ExportView(console, COUNTS, left=7, expected=55, known=known, under_way=under_way or {})


def test_figures(clock):
    view = view_of(Console(file=io.StringIO()))
    assert view.line() == "2 of 10 done · 1 failed · 0 running · 0 tokens/s"
    for one in JOBS[:3]:
        view.began(one)
    view.spent(JOBS[0], call(100, 30, 0))
    clock[0] += 60
    view.ended(JOBS[0], record(1))
    assert view.line() == "3 of 10 done · 1 failed · 2 running · 60 scenes/h · 0 tokens/s"
    view.spent(JOBS[1], call(100, 570, 150))
    view.ended(JOBS[1], failure(2))
    view.ended(JOBS[2], None)  # put off
    assert view.line() == (
        "3 of 10 done · 2 failed · 0 running · 120 scenes/h · 10 tokens/s · prefix cache 75%"
    )


def test_scenes_under_way_count_by_their_calls(clock):
    view = view_of(Console(file=io.StringIO()))
    for one in JOBS[:3]:
        view.began(one)
    for one, calls in zip(JOBS[:3], (40, 20, 20), strict=True):
        for _ in range(calls):
            view.spent(one, call(1, 0, 0))
    clock[0] += 60
    view.ended(JOBS[0], record(1))
    assert view.line().endswith("120 scenes/h · 0 tokens/s · 0:01:30 to 0:04:00 left")
    for one in JOBS[1:3] * 60:  # no scene under way counts for more than one
        view.spent(one, call(1, 0, 0))
    assert "180 scenes/h" in view.line()


def test_a_line_now_and_then_outside_a_terminal(clock):
    file = io.StringIO()
    with view_of(Console(file=file, width=40)) as view:
        for number, one in enumerate(JOBS):
            view.began(one)
            clock[0] += 12
            view.ended(one, record(number))
    lines = file.getvalue().splitlines()
    assert [line.partition(" done")[0] for line in lines] == ["5 of 10", "8 of 10", "9 of 10"]


def test_a_line_before_the_first_scene_ends(clock):
    """Scenes that begin together end together, a quarter of an hour later with a small processor."""
    file = io.StringIO()
    with view_of(Console(file=file, width=40)) as view:
        view.began(JOBS[0])
        for _ in range(4):
            clock[0] += 20
            view.spent(JOBS[0], call(100, 30, 0))
    assert file.getvalue().splitlines() == [
        "2 of 10 done · 1 failed · 1 running · 2 tokens/s",
        "2 of 10 done · 1 failed · 1 running · 2 tokens/s",
    ]


def test_a_bar_on_a_terminal(monkeypatch, clock):
    monkeypatch.setenv("TERM", "xterm")
    file = Terminal()
    with view_of(Console(file=file, width=70)) as view:
        view.began(JOBS[0])
        view.ended(JOBS[0], record(1))
        view._live.refresh()
    said = file.getvalue()
    assert "━" in said
    assert "3 of 10 done · 1 failed · 0 running" in said
    assert "\x1b[?25h" in said
