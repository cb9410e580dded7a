"""`monopolylogue explain`: the scene behind a row."""

import io
import re

import pytest
from rich.console import Console

from cli.commands.explain import failure_text
from cli.views.display import SceneView
from cli.views.replay_view import ReplayView
from scene.record import SceneRecord
from tests.exported import failure, key, not_rehearsed_again, record
from tests.hostile import hostile_failure, hostile_not_again, hostile_record
from tests.scene.test_export import lines, write


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path, lines(record(0x1234 << 48), record(2)), lines(failure(3)))


def test_shows_the_scene_as_run_does(monopolylogue, folder):
    done = monopolylogue("explain", str(folder), "q2")
    assert done.exit_code == 0
    sample = record(2)
    for text in (sample.question, sample.cast[0].name, sample.plan[0], "Verdict", "Played by"):
        assert text in done.stdout
    assert f"scene {key(2)}." in done.stdout


@pytest.mark.parametrize("row", ["1234", "@1", f"q{0x1234 << 48}"])
def test_json_of_a_row(monopolylogue, folder, row):
    done = monopolylogue("explain", str(folder), row, "--json")
    assert SceneRecord.from_json(done.stdout) == record(0x1234 << 48)


def test_a_failure_is_told(monopolylogue, folder):
    done = monopolylogue("explain", str(folder), "q3")
    assert done.exit_code == 0
    assert done.stdout.splitlines() == [
        "Question q3: Why?",
        "Its scene failed at role_action, role r1, turn 2 after 1.5 s (seed 0).",
        "ReplyError: no json",
    ]


def test_a_replay_that_failed_is_told(monopolylogue, tmp_path):
    folder = write(tmp_path, lines(not_rehearsed_again(1)))
    done = monopolylogue("explain", str(folder), "q1")
    assert done.exit_code == 0
    assert done.stdout.splitlines()[-2:] == [
        "Once more, on the final answer",
        "The scene could not be played again: it broke off at role_action, role r1, turn 2 "
        "(ReplyError: no json).",
    ]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [("q9", "has no row q9"), ("@9", "has no row @9"), ("0000", "0000 could be any of 2 rows (")],
)
def test_no_such_row(monopolylogue, folder, row, sentence):
    done = monopolylogue("explain", str(folder), row)
    assert done.exit_code == 2
    assert sentence in done.stderr
    assert done.stdout == ""


def test_no_export(monopolylogue, tmp_path):
    done = monopolylogue("explain", str(tmp_path), "q1")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "holds no export" in done.stderr


def test_a_hostile_scene_does_nothing_to_the_terminal():
    """No escape, no direction override and no markup of a record reaches the terminal, in colour or not."""
    for terminal in (True, False):
        file = io.StringIO()
        console = Console(
            file=file, width=120, force_terminal=terminal, color_system=None, markup=False, emoji=False
        )
        SceneView(console).record(hostile_record())
        ReplayView(console).record(hostile_record())
        ReplayView(console).record(hostile_not_again())
        console.print(failure_text(hostile_failure()), soft_wrap=True)
        text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())  # bold and dim are the view's own
        assert "[red]rich[/red]" in text.replace("\n", "")
        for char in "\x1b\x9b\x07\x00\u202e\u2066\u200f\ud800":
            assert char not in text
        assert "\x1b[31m" not in file.getvalue()
