"""`monopolylogue dataset` from the command line."""

import json

from inference.scripted import ScriptedEngine
from scene.record import Message
from tests.cli.test_bad_input import refused
from tests.finetune.scenes import call, record, write


def test_rows_are_counted_and_written(monopolylogue, tmp_path) -> None:
    records = [record(n, revised=n % 2 == 0) for n in range(10)]
    source = write(tmp_path / "export", records)
    done = monopolylogue(
        "dataset",
        str(source),
        "--out",
        str(tmp_path / "data"),
        "--mix",
        "aligned=9,helpful=3",
        "--near",
        "100",
    )
    assert done.exit_code == 0, done.output
    assert "too few: 5 of 9 aligned rows" in done.stdout
    assert "Written to" in done.stdout
    manifest = json.loads((tmp_path / "data" / "manifest.json").read_text())
    assert manifest["shortfalls"] == {"aligned": {"wanted": 9, "there": 5}}
    assert manifest["surplus"] == {"helpful": 2}


def test_examples_are_kept_where_that_is_asked_for(monopolylogue, tmp_path) -> None:
    shown = (Message(role="user", content="Go."), Message(role="assistant", content="I go."))
    asked = call("role_action", "role_action", "I stay.").prompt
    one = call("role_action", "role_action", "I stay.", prompt=(asked[0], *shown, asked[-1]))
    source = write(tmp_path / "export", [record(1, calls=(one,))])
    for more, roles in (((), ["system", "user"]), (("--examples",), ["system", "user", "assistant", "user"])):
        done = monopolylogue(
            "dataset", str(source), "--out", str(tmp_path / "data"), "--mix", "simulation=1", *more
        )
        assert done.exit_code == 0, done.output
        (line,) = (tmp_path / "data" / "data" / "train.jsonl").read_text().splitlines()
        row = json.loads(line)
        assert ([message["role"] for message in row["prompt"]], row["call"]) == (roles, 0)


def test_gate_asks_the_model_that_is_named(monopolylogue, monkeypatch, tmp_path) -> None:
    asked = []

    def prefer_the_old(request):
        said = request.messages[-1].content
        return "the first" if said.index("do nothing") < said.index("talk to") else "the second"

    def load(name, **options):
        asked.append((name, ScriptedEngine(prefer_the_old)))
        return asked[-1][1]

    monkeypatch.setattr("inference.loading.load_engine", load)
    source = write(tmp_path / "export", [record(1, revised=True), record(2)])
    out = tmp_path / "data"
    done = monopolylogue("dataset", str(source), "--out", str(out), "--gate", "--model", "judge")
    assert done.exit_code == 0, done.output
    ((name, engine),) = asked
    assert (name, len(engine.requests)) == ("judge", 2)
    assert "left out: 1 gate: asked in both orders, the model prefers the first answer" in done.stdout
    kept = [json.loads(line) for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert [row["scene"] for row in kept if row["reason"] == "gate"] == [record(1).id]


def test_bad_input(monopolylogue, tmp_path) -> None:
    empty = write(tmp_path / "empty", [])
    out = str(tmp_path / "data")
    refused(monopolylogue("dataset", str(tmp_path / "none"), "--out", out), "can't be read")
    refused(monopolylogue("dataset", str(tmp_path), "--out", out), "holds no export")
    refused(monopolylogue("dataset", str(empty), "--out", out), "the export is empty")
    refused(monopolylogue("dataset", str(empty), "--out", out, "--format", "csv"), "no format 'csv'")
    refused(monopolylogue("dataset", str(empty), "--out", str(empty)), "something else")
