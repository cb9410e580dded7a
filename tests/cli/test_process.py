"""The command as a process: Ctrl-C, real terminals, and a standard output that others write to."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pexpect
import pytest

from scene.record import SceneRecord
from tests.forked import ForkServer, Process, Terminal
from tests.paths import ROOT

pytestmark = pytest.mark.xdist_group("commands")


@pytest.fixture
def start(commands: ForkServer) -> Callable[..., Process]:
    """`start("slow", "--json")`: `run` with an engine of that kind."""

    def run(kind: str, *arguments: str, **options: object) -> Process:
        return commands.process("tests.cli.child", kind, "run", "Why?", *arguments, **options)

    return run


@pytest.fixture
def terminal(commands: ForkServer) -> Callable[..., Terminal]:
    """The same at a terminal: `terminal("slow", width=60)`."""

    def run(kind: str, width: int = 90, **env: str) -> Terminal:
        environment = {**os.environ, "TERM": "xterm-256color", **env}
        words = ["tests.cli.child", kind, "run", "Why?"]
        return commands.terminal(*words, size=(50, width), environment=environment)

    return run


def interrupt(process: Process) -> None:
    """Press Ctrl-C, and see the process end long before its engine would wake up."""
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)


def fall_asleep(process: Process) -> None:
    """Wait until the engine has something to do for a minute."""
    assert process.stderr is not None
    assert process.stderr.readline() == "asleep\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_in_mid_scene(start, tmp_path, options):
    file = tmp_path / "scene.json"
    with start("slow", "--out", str(file), *options) as process:
        fall_asleep(process)
        interrupt(process)
        out, err = process.communicate()
    assert process.returncode == 130
    said = err.replace("asleep\n", "")  # several calls sleep at once
    assert said == "Interrupted. Nothing of this scene was kept; run the command again to play it anew.\n"
    assert out == "" if options else "First answer" in out
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_while_loading(start):
    with start("loading") as process:
        fall_asleep(process)
        interrupt(process)
        out, err = process.communicate()
    assert process.returncode == 130
    assert (out, err) == ("", "Interrupted. No scene was played; what was fetched of the model is kept.\n")


def test_second_ctrl_c_does_not_wait_for_the_engine(start):
    with start("stuck") as process:
        fall_asleep(process)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while not process.stderr.readline().startswith("Interrupted."):
            assert process.poll() is None
        time.sleep(0.3)
        assert process.poll() is None
        interrupt(process)
        assert "Traceback" not in process.communicate()[1]
    assert process.returncode == 130


def test_json_stays_clean_whoever_prints(start):
    with start("noisy", "--json") as process:
        out, err = process.communicate()
    assert process.returncode == 0
    assert out.count("\n") == 1
    SceneRecord.from_json(out)
    for noise in ("noise from Python", "noise from a system call", "noise that C buffers"):
        assert noise in err


def test_reader_that_goes_away(start):
    with start("plain") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


def test_every_stream_closed(tmp_path):
    """By a shell, of an interpreter that starts."""
    words = [sys.executable, "-m", "tests.cli.child", "plain", "run", "Why?", "--json", "--out"]
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *words, f"{tmp_path}/scene.json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    SceneRecord.from_json((tmp_path / "scene.json").read_text())


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_closed_stream(start, closed, tmp_path):
    with start("plain", "--json", "--out", f"{tmp_path}/scene.json", closed=[closed]) as process:
        _, err = process.communicate()
    assert (process.returncode, err) == (0, "")
    SceneRecord.from_json((tmp_path / "scene.json").read_text())


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift_jis"])
def test_json_is_json_whatever_the_terminal(start, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    with start(
        "plain", "--json", "--answer", "Sch\xf6n \u2192 \U0001f642", environment=environment
    ) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert out.isascii()
    assert SceneRecord.from_json(out).first_answer == "Sch\xf6n \u2192 \U0001f642"


def test_json_is_utf8_whatever_the_terminal(start):
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    with start("plain", "--json", "--answer", "Schön → ok", environment=environment) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert SceneRecord.from_json(out).first_answer == "Schön → ok"
    with start("plain", "--answer", "Schön", environment=environment) as process:
        out, _ = process.communicate()
    assert process.returncode == 0
    assert "Sch\\xf6n" in out


@pytest.mark.parametrize("width", [60, 120])
def test_on_a_terminal(terminal, width):
    child = terminal("plain", width=width)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    said = child.before
    assert "\x1b[1mCast\x1b[0m" in said
    assert "\x1b[?25h" in said  # the cursor is back
    lines = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", said).replace("\r", "\n").split("\n")
    assert all(len(line) <= width for line in lines)


def test_no_color(terminal):
    child = terminal("plain", NO_COLOR="1")
    child.expect(pexpect.EOF)
    child.close()
    assert not re.search(r"\x1b\[[\d;]*3[0-9][;m]", child.before)


def test_ctrl_c_at_a_terminal_brings_the_cursor_back(terminal):
    child = terminal("slow")
    child.expect("role_init")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Interrupted. Nothing of this scene was kept" in child.before
    assert "\x1b[?25h" in child.before
