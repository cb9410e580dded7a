"""The example programs run as printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, f"examples/{program}"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_watch_the_graph() -> None:
    lines = run("watch_the_graph.py").splitlines()
    assert lines[0] == "stopped before: ('role_action',)"
    assert lines[1:-1].count("role_action") == 2
    assert lines[-1] == "ended with: plan_finished"


@pytest.mark.model
def test_play_a_scene() -> None:
    """On the tiny model, which can't play: the mechanics hold, whatever it says."""
    try:
        out = run("play_a_scene.py", MONOPOLYLOGUE_MODEL="tiny")
    except AssertionError as error:
        assert "ReplyError" in str(error)  # noqa: PT017  (the one way in which a scene may fail)
    else:
        assert "Before:" in out
        assert "After (" in out
