"""`monopolylogue ask`: the same questions to several models."""

import json

import pytest

from inference.scripted import ScriptedEngine
from tests.cli.test_bad_input import refused
from tests.hostile import HOSTILE


@pytest.fixture
def models(monkeypatch) -> list[str]:
    loaded: list[str] = []

    def load(name, **options):
        loaded.append(name)
        return ScriptedEngine(lambda request: f"{name} says: {request.messages[-1].content}")

    monkeypatch.setattr("cli.work.loading.load_engine", load)
    return loaded


def test_answers_stand_side_by_side(monopolylogue, models, tmp_path) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps({"question": f"Why {n}?"}) + "\n" for n in range(3)))
    flags = ["--last", "2", "--model", "base", "--model", "tuned"]
    done = monopolylogue("ask", str(file), *flags)
    assert done.exit_code == 0, done.output
    assert models == ["base", "tuned"]
    assert "base says: Why 2?" in done.stdout
    assert "tuned says: Why 1?" in done.stdout
    assert "Why 0?" not in done.stdout
    printed = monopolylogue("ask", str(file), *flags, "--json").stdout
    assert json.loads(printed.splitlines()[0]) == {
        "question": "Why 1?",
        "answers": {"base": "base says: Why 1?", "tuned": "tuned says: Why 1?"},
    }


def test_bad_input(monopolylogue, models, tmp_path) -> None:
    refused(monopolylogue("ask", str(tmp_path / "none"), "--model", "x"), "There is no file or folder")
    (tmp_path / "a.jsonl").write_text('{"q": "Why?"}\n')
    refused(
        monopolylogue("ask", str(tmp_path / "a.jsonl"), "--model", "x"),
        "holds no question (line 1: it has no question)",
    )
    (tmp_path / "b.txt").write_text("\n")
    refused(monopolylogue("ask", str(tmp_path / "b.txt"), "--model", "x"), "holds no question")
    for row in ("null", '{"a": 1}', '" "', "[]"):
        (tmp_path / "c.jsonl").write_text(f'{{"question": "Why?"}}\n{{"question": {row}}}\n')
        refused(monopolylogue("ask", str(tmp_path / "c.jsonl"), "--model", "x"), "c.jsonl, line 2: ")
    (tmp_path / "d.txt").write_text("x" * 16_001)
    refused(monopolylogue("ask", str(tmp_path / "d.txt"), "--model", "x"), "16,001 characters")
    assert models == []


def test_questions_are_read_as_export_reads_them(monopolylogue, models, tmp_path) -> None:
    lines = ['{"q": "One\u2028two\x85three?"}', '{"q": "What does <s> mean?"}']
    (tmp_path / "a.jsonl").write_bytes(b"\xef\xbb\xbf" + "\n".join(lines).encode())
    (tmp_path / "b.csv").write_text("q\nWhy?\n")
    for name, asked in (("a.jsonl", ["One\u2028twothree?", "What does <s> mean?"]), ("b.csv", ["Why?"])):
        flags = ["--question-column", "q", "--model", "x", "--json"]
        done = monopolylogue("ask", str(tmp_path / name), *flags)
        assert done.exit_code == 0, done.output
        rows = map(json.loads, done.stdout.strip("\n").split("\n"))
        assert [row["question"] for row in rows] == asked


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_what_a_model_says_does_nothing_to_the_terminal(monopolylogue, monkeypatch, tmp_path, flags) -> None:
    engine = ScriptedEngine(lambda request: HOSTILE)
    monkeypatch.setattr("cli.work.loading.load_engine", lambda name, **options: engine)
    (tmp_path / "a.txt").write_text("Why?")
    done = monopolylogue("ask", str(tmp_path / "a.txt"), "--model", "x\x1b[2J\u202e", *flags)
    assert done.exit_code == 0, done.output
    assert "[red]rich[/red]" in done.stdout.replace("\n", "")
    for char in "\x1b\x9b\x07\x00\u202e\u2066\u200f\ud800":
        assert char not in done.stdout
