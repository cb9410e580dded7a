"""The example programs run as printed."""

import os
import runpy
import subprocess
import sys

import pytest

from tests.paths import ROOT
from tests.scripted_scene import player


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


def test_play_a_scene(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("inference.loading.load_engine", lambda name: player())
    runpy.run_path(str(ROOT / "examples" / "play_a_scene.py"), run_name="__main__")
    is_a_played_scene(capsys.readouterr().out)


@pytest.mark.slow
def test_play_a_scene_with_the_tiny_model() -> None:
    """It may lose the thread, after minutes; then the scene fails by name and in no other way."""
    done = run("play_a_scene.py", MONOPOLYLOGUE_MODEL="tiny")
    if done.returncode:
        assert "scene.errors.ReplyError" in done.stderr
    else:
        is_a_played_scene(done.stdout)


def is_a_played_scene(printed: str) -> None:
    assert "\n\nAfter (" in printed
    assert "\n1 r0: I " in f"\n{printed}"
