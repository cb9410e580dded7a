"""The example programs run as printed."""

import os
import runpy
import subprocess
import sys
from collections.abc import Callable

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


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """`scripted("play_a_scene.py")`: what an example prints where a script plays in place of its model."""

    def printed(program: str) -> str:
        monkeypatch.setattr("inference.loading.load_engine", lambda name: player())
        runpy.run_path(str(ROOT / "examples" / program), run_name="__main__")
        return capsys.readouterr().out

    return printed


def test_play_a_scene(scripted: Callable[[str], str]) -> None:
    is_a_played_scene(scripted("play_a_scene.py"))


def test_scene_in_an_assistant(scripted: Callable[[str], str]) -> None:
    printed = scripted("scene_in_an_assistant.py")
    answers = [said.partition("\n")[2].strip() for said in printed.split("> ")[1:]]
    assert answers[0].startswith("Talk to your landlord early")
    assert answers[1].partition("\n\n4 messages")[0] != answers[0]
    assert printed.endswith("4 messages\n")


def test_stream_an_answer(scripted: Callable[[str], str]) -> None:
    printed = scripted("stream_an_answer.py")
    assert printed.count("Talk to your landlord early") == 2
    assert "[turn 1, the Worried tenant acts]" in printed
    assert "They talk about" not in printed, "the critique is no answer"


def test_person_in_the_loop(scripted: Callable[[str], str]) -> None:
    printed = scripted("person_in_the_loop.py")
    assert "moderate  " in printed
    assert "\nkeep: Talk to your landlord early" in printed


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
