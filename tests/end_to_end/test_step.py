"""`monopolylogue step` in a real pseudo-terminal: keys in, screen out, sessions that outlive the process."""

import re
import signal
import stat
from pathlib import Path

import pexpect
import pytest

from scene.record import SceneRecord
from tests.environment import without_settings
from tests.forked import ForkServer, Terminal

pytestmark = pytest.mark.xdist_group("commands")


@pytest.fixture
def step(tmp_path, commands: ForkServer):
    """`step("Why?")`: the command in a terminal, with sessions of its own."""
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/Retired landlord/Grumpy landlady/' \"$1\"\n")
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    environment = without_settings() | {
        "TERM": "xterm-256color",
        "MONOPOLYLOGUE_SESSIONS": str(tmp_path / "sessions"),
        "EDITOR": str(editor),
        "GATE": str(tmp_path / "gate"),
        "COLUMNS": "110",
    }
    children = []

    def start(*arguments: str, engine: str = "plain") -> Terminal:
        words = ["tests.cli.child", engine, "step", *arguments]
        child = commands.terminal(*words, size=(50, 110), environment=environment)
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def ended(child: Terminal) -> str:
    """Wait for the end; what was said after the screen was left."""
    child.expect(pexpect.EOF)
    child.close()
    assert (child.exitstatus, child.signalstatus) == (0, None)
    return child.before


def run_on(child: pexpect.spawn, record: Path) -> SceneRecord:
    """Run to the end, save the record and quit."""
    child.send("r")
    child.expect("at the end")
    child.send("s")
    child.expect("Saved to")
    child.send("q")
    ended(child)
    return SceneRecord.from_json(record.read_text())


def inside_a_node(step) -> pexpect.spawn:
    """A session whose second node runs until the gate is there."""
    child = step("May I?", engine="gated")
    child.expect("before respond")
    child.send("r")
    child.expect("running role_init, 0 calls")
    return child


def test_a_session_from_end_to_end(step, tmp_path):
    record = tmp_path / "scene.json"
    child = step("May I?", "--out", str(record))
    child.expect("before respond")
    child.send("n")
    child.expect("before role_init")
    child.send("n")
    child.expect("before role_action")
    child.send("e")
    child.expect("Grumpy landlady")
    child.send("t")
    child.expect("turn 2, before role_action")
    child.send("b")
    child.expect("turn 1, before modulator_update")
    child.send("q")
    said = ended(child)
    name = re.search(r"step --resume (\w{8})", said).group(1)

    child = step("--resume", name[:4], "--out", str(record))
    child.expect("turn 1, before modulator_update")
    child.send("r")
    child.expect("at the end")
    child.send("c")
    child.expect("revise: revise")
    child.send("\x1b")
    child.expect("at the end")
    child.send("s")
    child.expect("Saved to")
    child.send("q")
    ended(child)
    scene = SceneRecord.from_json(record.read_text())
    assert scene.edited
    assert scene.cast[1].name == "Grumpy landlady"
    assert len(scene.calls) == sum(cost.calls for cost in scene.cost.values())

    child = step("--list")
    assert re.search(rf"{name} .* at the end .* May I\?", ended(child).replace("\r\n", " "))


def test_killed_in_the_middle(step):
    child = step("May I?")
    child.expect("before respond")
    child.send("n")
    child.expect("before role_init")
    child.kill(signal.SIGKILL)
    child.expect(pexpect.EOF)
    listed = ended(step("--list"))
    name = re.search(r"(\w{8}) .*before role_init", listed).group(1)
    child = step("--resume", name)
    child.expect("before role_init")
    child.send("n")
    child.expect("before role_action")
    other = step("--resume", name)
    other.expect("is open in another terminal")
    child.send("\x03")
    ended(child)


def test_a_refused_change_its_correction_and_a_fork(step, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/name: Retired landlord/nom: Grumpy landlady/' \"$1\"\n")
    child = step("May I?")
    child.expect("before respond")
    child.send("t")
    child.expect("turn 1, before role_action")
    child.send("e")
    child.expect("cast.1.name: Field required")
    child.expect("Your text is kept")
    editor.write_text("#!/bin/sh\nsed -i 's/nom:/name:/' \"$1\"\n")
    child.send("e")
    child.expect("Changed.")
    child.send("f")
    child.expect(r"step --resume (\w{8})")
    other = child.match.group(1)
    child.send("r")
    child.expect("at the end")
    child.send("q")
    assert other not in ended(child)

    child = step("--resume", other, "--out", str(tmp_path / "scene.json"))
    child.expect("turn 1, before role_action")
    assert run_on(child, tmp_path / "scene.json").cast[1].name == "Grumpy landlady"


def test_escape_stops_after_the_node_that_runs(step, tmp_path):
    child = inside_a_node(step)
    child.send("\x1b")
    child.expect("calls · stops after it")
    (tmp_path / "gate").touch()
    child.expect("turn 1, before role_action")
    child.send("q")
    ended(child)
    assert "turn 1, before role_action" in ended(step("--list"))


def test_killed_inside_a_node(step, tmp_path):
    """The node that ran is lost, and nothing before it."""
    child = inside_a_node(step)
    child.kill(signal.SIGKILL)
    child.expect(pexpect.EOF)
    (tmp_path / "gate").touch()
    name = re.search(r"(\w{8}) .*before role_init", ended(step("--list"))).group(1)
    child = step("--resume", name, "--out", str(tmp_path / "scene.json"), engine="gated")
    child.expect("before role_init")
    scene = run_on(child, tmp_path / "scene.json")
    assert not scene.edited
    assert len(scene.calls) == sum(cost.calls for cost in scene.cost.values())


def test_another_model_does_not_go_on(step):
    child = step("May I?")
    child.expect("before respond")
    child.send("q")
    name = re.search(r"step --resume (\w{8})", ended(child)).group(1)
    child = step("--resume", name, engine="other")
    child.expect(f"Session {name} was begun with something else: model was scripted and is now other.")
    child.expect("Bring that back to go on with it, or begin a new one.")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 2


def test_quitting_inside_a_node(step, tmp_path):
    child = inside_a_node(step)
    child.send("q")
    ended(child)
    assert "before role_init" in ended(step("--list"))
