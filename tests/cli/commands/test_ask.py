"""`monopolylogue ask`: the same questions to several models."""

import json

import pytest

from inference.scripted import ScriptedEngine
from tests.cli.test_bad_input import refused


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
    refused(monopolylogue("ask", str(tmp_path / "a.jsonl"), "--model", "x"), "line 1: it has no question")
    (tmp_path / "b.txt").write_text("\n")
    refused(monopolylogue("ask", str(tmp_path / "b.txt"), "--model", "x"), "holds no question")
    (tmp_path / "c.jsonl").write_text('{"question": "Why?"}\n{"question": []}\n')
    refused(monopolylogue("ask", str(tmp_path / "c.jsonl"), "--model", "x"), "c.jsonl, line 2: ")
    assert models == []
