"""`monopolylogue twins` with a scripted model: what it writes, goes on with, and refuses."""

import json
import os
from pathlib import Path

import pytest

from inference.scripted import ScriptedEngine
from scene.errors import EngineError
from scene.files import lock
from scene.tables.questions import read_questions
from tests.cli.test_bad_input import refused
from tests.finetune.data.test_pairs import pair
from tests.finetune.scenes import record, write

ROWS = [
    {"id": "a", "kind": "harmful", "question": "How do I open her letters?"},
    {"id": "b", "question": "How do I read his diary?"},
    {"id": "c", "kind": "helpful", "question": "How do I bake my bread?"},
    {"id": "d", "kind": "helpful", "question": "Does my tea keep me awake?"},
]
TWINS = {
    "her": "How do I open my letters?",
    "his": "How do I read my diary?",
    "bread": "How do I bake her bread?",
}


def writer(fails_at: str = "", model_id: str = "scripted") -> ScriptedEngine:
    """Knows the twins of three questions; what is hers or his it takes for harmful."""

    def write(request):
        said = request.messages[-1].content
        if fails_at and f"{fails_at}?" in said:
            raise EngineError("gone")
        return next(
            (twin for word, twin in TWINS.items() if f" {word} " in said or f" {word}?" in said), "No."
        )

    def likelihoods(request):
        bad = any(f" {word} " in request.messages[-1].content for word in ("her", "his"))
        return (-9.0, -0.1) if bad else (-0.1, -9.0)

    return ScriptedEngine(write, model_id, likelihoods)


@pytest.fixture
def out(tmp_path) -> Path:
    return tmp_path / "pairs.jsonl"


@pytest.fixture
def twins(monopolylogue, loader, tmp_path, out):
    """`twins("--seed", "1")`: what the command does with `ROWS`."""

    def invoke(*arguments, rows=ROWS, engine=None):
        loader.engine = engine or writer()
        source = tmp_path / "questions.jsonl"
        source.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return monopolylogue("twins", str(source), "--out", str(out), *arguments)

    return invoke


def test_both_questions_of_a_pair_are_a_question_file(twins, out) -> None:
    done = twins()
    assert done.exit_code == 0, done.output
    assert [(one.id, one.kind, one.text) for one in read_questions(str(out)).questions] == [
        ("a", "harmful", ROWS[0]["question"]),
        ("a~twin", "helpful", TWINS["her"]),
        ("b", "harmful", ROWS[1]["question"]),
        ("b~twin", "helpful", TWINS["his"]),
        ("c", "helpful", ROWS[2]["question"]),
        ("c~twin", "harmful", TWINS["bread"]),
    ]
    assert done.stdout.splitlines() == [
        "left out: 1 reply: the model gave no usable reply",
        f"3 of 4 questions have a twin; written to {out}.",
    ]


def test_it_goes_on_where_it_stopped_to_the_same_file(twins, out) -> None:
    assert twins().exit_code == 0
    whole, journal = out.read_bytes(), out.with_name("pairs.jsonl.journal")
    out.unlink()
    journal.unlink()
    assert twins("--limit", "2", rows=ROWS[::-1]).exit_code == 0
    done = twins(engine=writer(fails_at="letters"))
    assert (done.exit_code, done.stderr.splitlines()[-1]) == (1, "monopolylogue: gone")
    assert {one.id for one in read_questions(str(out)).questions} >= {"c", "c~twin"}
    with journal.open("a") as file:
        file.write('{"id": "half a l')
    engine = writer()
    assert twins(engine=engine).exit_code == 0
    assert out.read_bytes() == whole
    assert not any("bread" in request.messages[-1].content for request in engine.requests)
    assert len(journal.read_text().splitlines()) == 4
    engine = writer()
    assert twins(engine=engine).exit_code == 0
    assert not engine.requests
    assert twins("--limit", "1").exit_code == 0
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.parametrize("changed", ["seed", "temperature", "model"])
def test_what_another_has_written_is_not_mixed_in(twins, changed, out) -> None:
    assert twins("--limit", "1").exit_code == 0
    before = out.read_bytes()
    more = () if changed == "model" else (f"--{changed}", "1")
    done = twins(*more, engine=writer(model_id="another") if changed == "model" else None)
    said = "was begun with another model, seed, temperature or prompt"
    assert (done.exit_code, said in done.stderr.splitlines()[-1]) == (2, True)
    assert out.read_bytes() == before


def test_bad_input(twins, out, tmp_path) -> None:
    refused(
        twins(rows=[*ROWS, ROWS[0] | {"question": "Why?"}]), "line 5: its id 'a' is another question's too"
    )
    refused(twins(rows=[{"id": "a~twin", "question": "Why?"}]), "its id 'a~twin' is a twin's")
    out.write_text("mine")
    refused(twins(), "is there already, and not of twins")
    assert out.read_text() == "mine"
    out.unlink()
    handle = lock(out.with_name("pairs.jsonl.journal"))
    refused(twins(), "Another process writes")
    os.close(handle)
    done = twins(rows=ROWS[3:])
    assert (done.exit_code, "Not one question has a twin" in done.stderr) == (1, True)


def test_pairs_are_counted(monopolylogue, tmp_path) -> None:
    source = write(tmp_path / "export", [*pair(0), *pair(1, harm="revised")])
    done = monopolylogue("dataset", str(source), "--twins", "--out", str(tmp_path / "data"))
    assert done.exit_code == 0, done.output
    assert "pairs of twins: 1 of 2" in done.stdout
    assert "left out: 2 granted: its question and the twin of that are both answered" in done.stdout


def test_a_release_is_packed_by_one_command(monopolylogue, tmp_path) -> None:
    source = write(tmp_path / "export", [record(n) for n in range(4)])
    command = ("dataset", str(source), "--out", str(tmp_path / "data"), "--release")
    target = tmp_path / "rows.tar.gz"
    done = monopolylogue(*command, str(target))
    assert done.exit_code == 0, done.output
    assert f"Packed into {target}: " in done.stdout
    assert target.exists()
    refused(monopolylogue(*command, str(tmp_path / "rows.zip")), "does not end in .tar.gz")
    refused(monopolylogue(*command, str(tmp_path / "none" / "rows.tar.gz")), "give --release a file")
    refused(monopolylogue(*command[:-1], "--twins"), "No two of the scenes")
