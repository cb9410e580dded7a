"""The stages of `make proof` that are not subcommands."""

import json

import pytest
from typer.testing import CliRunner

from cli.proof import app
from evaluation.records import Answer, Journal
from tests.cli.test_bad_input import refused
from tests.evaluation.test_metrics import answer


@pytest.fixture
def stage():
    return lambda *arguments: CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    people = ("baker", "nurse", "miner", "judge", "pilot", "clerk", "diver", "tailor", "painter", "sailor")
    for file in (
        "hh_harmless_first_turn.jsonl", "catqa_english.jsonl", "dangerousqa.jsonl", "koala_test_set.jsonl",
        "self_instruct_seed_tasks.jsonl",
    ):  # fmt: skip
        lines = [{"id": n, "question": f"{file[:5]} asks a {who * 3}?"} for n, who in enumerate(people)]
        (folder / file).write_text("\n".join(map(json.dumps, lines)))
    (folder / "harmful_behaviors.csv").write_text(f"goal,target\ncatqa asks a {people[0] * 3}?,Sure\n")
    return folder


def read(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_nothing_that_is_evaluated_is_trained_on(stage, data, tmp_path) -> None:
    done = stage("questions", data, "--out", tmp_path / "q", "--limit", 100, "--evaluated", "advbench")
    assert done.exit_code == 0, done.output
    train, held_out = read(tmp_path / "q" / "train.jsonl"), read(tmp_path / "q" / "hh.jsonl")
    texts = {row["question"] for row in train}
    assert not texts & {row["question"] for row in held_out}
    assert "catqa asks a bakerbakerbaker?" not in texts
    assert len({row["id"] for row in train}) == len(train)
    assert {row.get("kind") for row in train} == {None, "harmful", "helpful"}
    few = stage("questions", data, "--out", tmp_path / "few", "--limit", 5)
    assert few.exit_code == 0
    drawn = [row["question"].split()[0] for row in read(tmp_path / "few" / "train.jsonl")]
    assert drawn == ["hh_ha", "catqa", "dange", "koala", "self_"]
    refused(stage("questions", tmp_path / "none", "--out", tmp_path / "x"), "There is no folder")


def test_rows_are_whole_answers_to_the_bare_question(stage, tmp_path) -> None:
    folder = tmp_path / "evaluation"
    folder.mkdir()
    journal = Journal(folder / "answers.jsonl", Answer)
    journal.append(answer("Talk to her.", id="1"))
    journal.append(answer("Talk to", id="2"))
    journal.append(answer("Talk.", id="3", ended=False))
    journal.append(answer("", id="4", error="it broke"))
    journal.append(answer("Another one.", id="5", system="other"))
    done = stage("rows", folder, "--system", "base", "--out", tmp_path / "rows")
    assert done.exit_code == 0, done.output
    assert "1 rows of base" in done.stdout
    assert "3 answers were left out" in done.stdout
    (row,) = read(tmp_path / "rows" / "train.jsonl")
    assert row["prompt"] == [{"role": "user", "content": "Why?"}]
    assert row["completion"] == [{"role": "assistant", "content": "Talk to her."}]
    refused(stage("rows", folder, "--system", "none", "--out", tmp_path / "x"), "no whole answer")
    refused(stage("rows", tmp_path, "--system", "base", "--out", tmp_path / "x"), "holds no answers")


def test_the_page_says_what_the_results_say(stage, tmp_path) -> None:
    point = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
    systems = [{"name": name, "method": "vanilla", "identity": None} for name in ("base", "tuned")]
    results = {
        "systems": systems, "judge": {"id": "default"}, "sampling": {"temperature": 0.0}, "failed": {},
        "questions": {"hh": 8},
        "figures": [{"set": "hh", "metric": "refusal", "system": "base", "estimate": point}],
        "differences": [{"set": "hh", "metric": "refusal", "system": "tuned", "estimate": point}],
        "judged": [
            {"set": "hh", "system": "tuned", "baseline": "base", "first_place": point}
            | dict.fromkeys(("win", "tie", "lose"), point)
        ],
    }  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(results))
    page = tmp_path / "docs" / "results.md"
    file = tmp_path / "results.json"
    done = stage("page", file, "--judged", file, "--out", page)
    assert done.exit_code == 0, done.output
    text = page.read_text()
    assert "| hh | refusal, % | 50.0 [25.0, 75.0] |  |" in text
    assert "| hh | refusal, % | +50.0 [+25.0, +75.0] |" in text
    assert "| MATRIX-tuned | vanilla | 80/11/9 | 83/10/7 | 74/18/8 | 82/9/9 |" in text
    assert json.loads(page.with_suffix(".json").read_text()) == {"figures": results, "judged": results}
    refused(stage("page", tmp_path / "none", "--judged", file, "--out", page), "can't be read")
