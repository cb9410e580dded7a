"""Long work in stages, each of which copies files and may be killed at any moment."""

import json
import subprocess
import sys

import pytest
import typer

from cli.proof.stages import LEDGER, Stage, run_stages
from scene.errors import InputError


class KilledError(BaseException):
    """Nothing after it happens, as after SIGKILL."""


class Work:
    """Three stages in a row: the second adds a line for every run, as what goes on does; a fake command."""

    def __init__(self, folder) -> None:
        self.folder = folder
        self.recipe = "fast"
        self.called: list[str] = []
        self.kill: tuple[int, str] | None = None
        self.code = 0
        (folder / "input").write_text("1")

    @property
    def stages(self) -> list[Stage]:
        at = self.folder
        trained = at / "trained" / "weights"
        return [
            Stage(name="rows", command=("rows",), makes=at / "rows", reads=(at / "input",)),
            Stage(
                name="train",
                command=("train", self.recipe),
                makes=trained,
                folder=at / "trained",
                basis={"the recipe": self.recipe, "the rows": at / "rows"},
            ),
            Stage(name="compare", command=("compare",), makes=at / "compared", reads=(trained,)),
        ]

    def __call__(self, command, note) -> int:
        self.called.append(command[0])
        self._killed("before")
        note()
        at = self.folder
        if command[0] == "rows":
            (at / "rows").write_text(f"rows of {(at / 'input').read_text()}")
        elif command[0] == "train":
            (at / "trained").mkdir(exist_ok=True)
            (at / "trained" / "weights").write_text(f"{command[1]} on {(at / 'rows').read_text()}")
        else:
            (at / "compared").write_text((at / "trained" / "weights").read_text())
        self._killed("after")
        return self.code if command[0] == "train" else 0

    def _killed(self, when) -> None:
        if self.kill == (len(self.called), when):
            self.kill = None
            raise KilledError

    def run(self):
        return run_stages(self.stages, {"recipe": self.recipe}, self.folder, self)


@pytest.fixture
def work(tmp_path) -> Work:
    return Work(tmp_path)


def test_what_is_done_is_not_done_again(work, tmp_path) -> None:
    work.run()
    assert work.called == ["rows", "train", "compare"]
    work.run()
    assert work.called == ["rows", "train", "compare"]
    noted = json.loads((tmp_path / LEDGER).read_text())
    assert noted["settings"] == {"recipe": "fast"}
    assert [entry["done"] for entry in noted["stages"].values()] == [True] * 3
    (tmp_path / "compared").unlink()
    work.run()
    assert work.called[3:] == ["compare"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_kill_costs_the_stage_it_hits_and_no_other(work, tmp_path, number, when) -> None:
    work.kill = (number, when)
    with pytest.raises(KilledError):
        work.run()
    work.run()
    assert sorted(work.called) == sorted(["rows", "train", "compare", work.called[number - 1]])
    assert (tmp_path / "compared").read_text() == "fast on rows of 1"
    assert not (tmp_path / "trained.1").exists()


def test_what_depends_on_a_changed_setting_runs_again(work, tmp_path, capsys) -> None:
    work.run()
    work.recipe = "slow"
    work.run()
    assert work.called[3:] == ["train", "compare"]
    assert (tmp_path / "compared").read_text() == "slow on rows of 1"
    assert (tmp_path / "trained.1" / "weights").read_text() == "fast on rows of 1"
    assert "begins anew, since the recipe changed" in capsys.readouterr().err
    (tmp_path / "input").write_text("2")
    work.run()
    assert work.called[5:] == ["rows", "train", "compare"]
    assert "begins anew, since the rows changed" in capsys.readouterr().err
    (tmp_path / "trained" / "weights").unlink()
    work.run()
    assert work.called[8:] == ["train"]


def test_a_setting_that_changed_while_a_stage_was_interrupted(work, tmp_path) -> None:
    work.kill = (2, "after")
    with pytest.raises(KilledError):
        work.run()
    work.recipe = "slow"
    work.run()
    assert (tmp_path / "trained.1" / "weights").read_text() == "fast on rows of 1"
    assert (tmp_path / "compared").read_text() == "slow on rows of 1"


def test_what_is_added_to_a_basis_changes_nothing_that_is_there(work, tmp_path) -> None:
    work.run()
    first, train, last = work.stages
    more = Stage(**{name: getattr(train, name) for name in ("name", "command", "makes", "folder")},
                 basis={**train.basis, "another": "x"})  # fmt: skip
    run_stages([first, more, last], {}, tmp_path, work)
    assert not (tmp_path / "trained.1").exists()


def test_what_ended_badly_is_not_used(work, tmp_path, capsys) -> None:
    work.code = 1
    for _ in range(2):
        with pytest.raises(typer.Exit) as stop:
            work.run()
        assert stop.value.exit_code == 1
    assert work.called == ["rows", "train", "train"]
    assert "train did not end well" in capsys.readouterr().err
    work.code = 0
    work.run()
    assert work.called[3:] == ["train", "compare"]


def test_the_time_of_all_beginnings_counts(work, monkeypatch) -> None:
    clock = iter(range(0, 1000, 10))
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    work.kill = (2, "after")
    with pytest.raises(KilledError):
        work.run()
    before = json.loads((work.folder / LEDGER).read_text())["stages"]["train"]
    assert (before["done"], before["seconds"]) == (False, 30)
    assert work.run().stages["train"].seconds == 60


def test_two_never_work_in_a_folder_at_once(work, tmp_path) -> None:
    program = (
        "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); "
        "print('locked', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / ".lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        other.stdout.readline()
        with pytest.raises(InputError, match="Another process works in"):
            work.run()
    finally:
        other.communicate()
    work.run()


def test_a_damaged_ledger_is_named(work, tmp_path) -> None:
    (tmp_path / LEDGER).write_text("{")
    with pytest.raises(InputError, match=r"stages\.json is damaged"):
        work.run()
