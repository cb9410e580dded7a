"""`make selfalign`: which stages it runs in which order, with a stub for the command."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import typer

from cli.main import app
from finetune.data.settings import parse_mix
from tests.paths import ROOT

STAGES = ["export", "dataset", "train", "ask"]

STUB = """\
#!/bin/sh
printf '%s\\n' "$@" END >> calls
if test "$1" = "$(cat breaks 2>/dev/null)"; then exit 130; fi
while test $# -gt 1; do
    if test "$1" = --out; then mkdir -p "$2"; fi
    shift
done
"""


@pytest.fixture
def selfalign(tmp_path: Path):
    """`selfalign(variables, breaks=stage)`: exit status, and the arguments of every command it ran."""
    make = shutil.which("make")
    if make is None:
        pytest.skip("make is not installed")
    stub = tmp_path / "bin" / "monopolylogue"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}

    def run(*variables: str, breaks: str = "") -> tuple[int, list[list[str]]]:
        (tmp_path / "calls").write_text("")
        (tmp_path / "breaks").write_text(breaks)
        done = subprocess.run(
            # The environment is there already: `setup` would build another one.
            [make, "-f", ROOT / "Makefile", "-o", "setup", "selfalign", f"BIN={stub.parent}", *variables],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        calls = (tmp_path / "calls").read_text().split("END\n")[:-1]
        return done.returncode, [call.splitlines() for call in calls]

    return run


def value(call: list[str], option: str) -> str:
    return call[call.index(option) + 1]


def test_each_stage_gets_what_the_one_before_made(selfalign, tmp_path) -> None:
    status, calls = selfalign()
    assert status == 0
    assert [call[0] for call in calls] == STAGES
    export, dataset, train, ask = calls
    assert dataset[1] == value(export, "--out")
    assert train[1] == value(dataset, "--out")
    asked = [ask[place + 1] for place, word in enumerate(ask) if word == "--model"]
    assert asked == [value(export, "--model"), value(train, "--out")] == ["default", train[-1]]
    assert value(train, "--model") == "default"
    made = sorted(path.name for path in (tmp_path / "build" / "selfalign-default").iterdir())
    assert made == ["adapter", "data", "scenes"]


def test_questions_to_train_on_and_to_ask_are_not_the_same(selfalign) -> None:
    _, (export, *_, ask) = selfalign()
    assert export[1] == ask[1] == "finetune/questions.jsonl"
    count = len((ROOT / export[1]).read_text(encoding="utf-8").splitlines())
    assert int(value(export, "--limit")) + int(value(ask, "--last")) <= count


@pytest.mark.parametrize("stage", STAGES)
def test_what_was_interrupted_is_gone_on_with(selfalign, stage) -> None:
    status, before = selfalign(breaks=stage)
    assert status != 0
    assert [call[0] for call in before] == STAGES[: STAGES.index(stage) + 1]
    status, again = selfalign()
    assert status == 0
    assert [call[0] for call in again] == STAGES
    assert again[: len(before)] == before
    assert "--resume" in again[2]


def test_every_command_line_is_one_that_the_command_takes(selfalign) -> None:
    group = typer.main.get_command(app)
    for variables in ((), ("MODEL=tiny",)):
        _, calls = selfalign(*variables)
        assert parse_mix(value(calls[1], "--mix")).keys() == {"aligned", "helpful", "simulation"}
        for name, *arguments in calls:
            group.commands[name].make_context(name, arguments)  # a wrong one raises


def test_the_tiny_model_gets_small_scenes_and_a_folder_of_its_own(selfalign) -> None:
    _, calls = selfalign("MODEL=tiny")
    assert [value(calls[0], option) for option in ("--roles", "--steps", "--max-interactions")] == list("122")
    assert all("build/selfalign-tiny" in " ".join(call) for call in calls)
    _, calls = selfalign("MODEL=a/folder/of-mine", "SELFALIGN_SCENE=--roles 3")
    assert value(calls[0], "--roles") == "3"
    assert "build/selfalign-of-mine" in value(calls[0], "--out")
