"""The example programs run as printed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, f"examples/{program}"],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )


def test_watch_the_graph() -> None:
    done = run("watch_the_graph.py")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "stopped before: ('role_action',)"
    assert lines[1:-1].count("role_action") == 2
    assert lines[-1] == "ended with: plan_finished"


@pytest.mark.model
def test_play_a_scene() -> None:
    """On the tiny model, which may lose the thread; then the scene fails by name and in no other way."""
    done = run("play_a_scene.py", MONOPOLYLOGUE_MODEL="tiny")
    if done.returncode:
        assert "scene.errors.ReplyError" in done.stderr
    else:
        assert "\n\nAfter (" in done.stdout
        assert "\n1 r0: I " in f"\n{done.stdout}"
