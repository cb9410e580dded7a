"""The command as a whole: help, version, start-up, and what the options promise."""

import os
import re
import subprocess
import sys

import pytest

from tests.paths import ROOT


@pytest.mark.parametrize(
    ("arguments", "example"),
    [
        (["--help"], 'monopolylogue run "'),
        (["run", "--help"], 'monopolylogue run "'),
        (["run", "-h"], 'monopolylogue run "'),
        (["export", "--help"], "monopolylogue export questions.jsonl --out scenes"),
        (["explain", "--help"], "monopolylogue explain scenes"),
    ],
)
def test_help_fits_and_shows_examples(monopolylogue, arguments, example):
    done = monopolylogue(*arguments, env={"COLUMNS": "80"})
    assert done.exit_code == 0
    assert example in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


@pytest.mark.parametrize("command", [(), ("run",), ("export",), ("train",), ("why",), ("models", "convert")])
@pytest.mark.parametrize("width", [40, 80])
def test_help_is_whole_on_a_narrow_terminal(monopolylogue, command, width):
    wide = monopolylogue(*command, "--help", env={"COLUMNS": "200"}).stdout
    done = monopolylogue(*command, "--help", env={"COLUMNS": str(width)}).stdout
    assert all(len(line) <= width for line in done.splitlines())
    assert "…" not in done
    whole, told = ("".join(re.findall(r"[\w-]", text)) for text in (wide, done))
    assert sorted(told) == sorted(whole)


def test_no_arguments_is_help(monopolylogue):
    done = monopolylogue()
    assert done.exit_code == 2
    assert "Usage" in done.output


def test_start_is_light_and_reports_nothing():
    program = (
        "import os, sys, cli.main;"
        "print(*sorted({'torch', 'transformers', 'langgraph', 'graph'} & set(sys.modules)));"
        "print(os.environ['LANGGRAPH_STRICT_MSGPACK'], os.environ['LANGSMITH_TRACING'],"
        " os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LANG", "HF_"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**environment, "HF_HUB_DISABLE_TELEMETRY": "0"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["", "true false 0"]


def test_version(monopolylogue, monkeypatch):
    monkeypatch.setattr("cli.main.metadata.version", lambda name: f"9.9 of {name}")
    done = monopolylogue("--version")
    assert (done.exit_code, done.stdout) == (0, "monopolylogue 9.9 of monopolylogue\n")
