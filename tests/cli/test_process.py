"""The command as a process: Ctrl-C, real terminals, and a standard output that others write to."""

import os
import re
import signal
import subprocess
import sys
import time

import pexpect
import pytest

from scene.record import SceneRecord
from tests.paths import ROOT


def command(kind: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "tests.cli.child", kind, "run", "Why?", *arguments]


def start(kind: str, *arguments: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    return subprocess.Popen(command(kind, *arguments), cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def terminal(kind: str, *arguments: str, width: int = 90, **env: str) -> pexpect.spawn:
    program, *rest = command(kind, *arguments)
    environment = {**os.environ, "TERM": "xterm-256color", **env}
    return pexpect.spawn(
        program, rest, cwd=ROOT, env=environment, dimensions=(50, width), encoding="utf-8", timeout=60
    )


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C, and see the process end long before its engine would wake up."""
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)


def fall_asleep(process: subprocess.Popen[str]) -> None:
    """Wait until the engine has something to do for a minute."""
    assert process.stderr is not None
    assert process.stderr.readline() == "asleep\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_ctrl_c_in_mid_scene(tmp_path, options):
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


def test_ctrl_c_while_loading():
    with start("loading") as process:
        fall_asleep(process)
        interrupt(process)
        out, err = process.communicate()
    assert process.returncode == 130
    assert (out, err) == ("", "Interrupted. No scene was played; what was fetched of the model is kept.\n")


def test_second_ctrl_c_does_not_wait_for_the_engine():
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


def test_json_stays_clean_whoever_prints():
    done = subprocess.run(command("noisy", "--json"), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    SceneRecord.from_json(done.stdout)
    for noise in ("noise from Python", "noise from a system call", "noise that C buffers"):
        assert noise in done.stderr


def test_reader_that_goes_away():
    with start("plain") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed, tmp_path):
    words = [*command("plain", "--json", "--out", f"{tmp_path}/scene.json")]
    done = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    SceneRecord.from_json((tmp_path / "scene.json").read_text())


def test_json_is_utf8_whatever_the_terminal():
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    arguments = command("plain", "--json", "--answer", "Schön → ok")
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, check=True)
    assert SceneRecord.from_json(done.stdout.decode()).first_answer == "Schön → ok"
    shown = subprocess.run(
        command("plain", "--answer", "Schön"), cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert b"Sch\\xf6n" in shown.stdout


@pytest.mark.parametrize("width", [60, 120])
def test_on_a_terminal(width):
    child = terminal("plain", width=width)
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    said = child.before
    assert "\x1b[1mCast\x1b[0m" in said
    assert "\x1b[?25h" in said  # the cursor is back
    lines = re.sub(r"\x1b\[[?\d;]*[A-Za-z]", "", said).replace("\r", "\n").split("\n")
    assert all(len(line) <= width for line in lines)


def test_no_color():
    child = terminal("plain", NO_COLOR="1")
    child.expect(pexpect.EOF)
    child.close()
    assert not re.search(r"\x1b\[[\d;]*3[0-9][;m]", child.before)


def test_ctrl_c_at_a_terminal_brings_the_cursor_back():
    child = terminal("slow")
    child.expect("role_init")
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    assert "Interrupted. Nothing of this scene was kept" in child.before
    assert "\x1b[?25h" in child.before
