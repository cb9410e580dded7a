"""A run that is cut off and gone on with."""

import json
import sys
from subprocess import PIPE, CompletedProcess
from types import SimpleNamespace

import pytest

from benchmarks import ledger as ledgers
from benchmarks.ledger import Ledger, circumstances, described

ABOUT = {"machine": "this one", "sources": "1"}


@pytest.fixture
def processes(monkeypatch):
    """Stands in for the processes that measure; what each was asked for."""
    asked = []

    def run(command, **options):
        asked.append(command)
        return CompletedProcess(command, 0, f"Loading\n{json.dumps({'seconds': len(asked)})}\n")

    monkeypatch.setattr(ledgers, "subprocess", SimpleNamespace(run=run, PIPE=PIPE))
    return asked


def test_a_run_that_was_cut_off_goes_on(tmp_path, processes):
    path = tmp_path / "bench.runs.json"
    first = Ledger(path, ABOUT)
    assert (first.same, first.measured) == (False, {})
    assert first.take("measure", "tiny", "short") == {"seconds": 1}
    again = Ledger(path, ABOUT)  # no word of farewell from the first
    assert again.same
    assert again.take("measure", "tiny", "short") == {"seconds": 1}
    assert again.take("measure", "tiny", "prefix") == {"seconds": 2}
    assert processes == [
        [sys.executable, "-m", "benchmarks", "measure", "tiny", workload] for workload in ("short", "prefix")
    ]


def test_what_is_complete_is_measured_anew(tmp_path, processes):
    path = tmp_path / "bench.runs.json"
    Ledger(path, ABOUT).take("left", "over")
    run = Ledger(path, ABOUT)
    run.take("measure", "tiny")
    run.complete()
    after = Ledger(path, ABOUT)
    assert (after.same, list(after.measured)) == (True, ["left over"])


@pytest.mark.parametrize(("about", "anew"), [(ABOUT | {"sources": "2"}, False), (ABOUT, True)])
def test_nothing_is_taken_over(tmp_path, processes, about, anew):
    path = tmp_path / "bench.runs.json"
    Ledger(path, ABOUT).take("measure", "tiny")
    assert Ledger(path, about, anew=anew).measured == {}


def test_circumstances_are_the_same_until_something_changes(tmp_path, monkeypatch):
    about = circumstances()
    assert json.loads(json.dumps(circumstances())) == about
    assert f"{about['machine']['cores']} cores" in described(about)
    assert "python 3." in described(about)
    monkeypatch.setattr(ledgers, "ROOT", tmp_path)
    (tmp_path / "graph").mkdir()
    (tmp_path / "graph" / "batch.py").write_text("1")
    before = circumstances()["sources"]
    (tmp_path / "graph" / "batch.py").write_text("2")
    assert circumstances()["sources"] != before
