"""Question sets by name, from files and from the hub."""

import pytest

from evaluation.sets import known_sets, load_sets
from scene.errors import InputError


def test_every_set_that_is_here_can_be_read(question_sets) -> None:
    here = [
        name
        for name, known in known_sets().items()
        if any((question_sets / file).is_file() for file in known.files)
    ]
    items = load_sets(here, question_sets)
    counts = {name: sum(item.set == name for item in items) for name in here}
    assert set(here) >= {"advbench", "xstest-safe", "xstest-unsafe", "hh", "vicuna-bench", "self-instruct"}
    assert counts["xstest-safe"] + counts["xstest-unsafe"] == 225
    assert all(item.reference for item in items if item.set == "advbench")
    assert all(item.kind == known_sets()[item.set].kind for item in items)
    assert len({item.key for item in items}) == len(items)


def test_a_task_keeps_its_input(question_sets) -> None:
    (first, *_) = load_sets(["self-instruct"], question_sets)
    assert "find it necessary to increase" in first.question
    assert first.reference.startswith("If you have any questions about my rate")


def test_a_limit_draws_the_same_questions_every_time(tmp_path) -> None:
    file = tmp_path / "own.txt"
    file.write_text("\n".join(f"Question {number}?" for number in range(50)))
    drawn = load_sets([f"own={file}"], limit=5)
    assert drawn == load_sets([f"own={file}"], limit=5)
    assert drawn != load_sets([f"own={file}"], limit=5, seed=1)
    assert {item.kind for item in drawn} == {None}


def test_the_first_turn_of_a_transcript(tmp_path, monkeypatch) -> None:
    from evaluation import sets

    read = sets.read_questions
    file = tmp_path / "hh.jsonl"
    file.write_text(
        '{"chosen": "\\n\\nHuman: Who am I?\\n\\nAssistant: You.\\n\\nHuman: Why?\\n\\nAssistant: So."}\n'
        '{"chosen": "\\n\\nHuman: Who am I?\\n\\nAssistant: Nobody."}\n'
    )
    monkeypatch.setattr(sets, "read_questions", lambda source, columns, split: read(str(file), columns))
    (item,) = load_sets(["hh"])
    assert item.question == "Who am I?"


def test_what_can_not_be_had(tmp_path) -> None:
    for wanted, data, why in (
        (["nothing"], None, "There is no set 'nothing'"),
        (["advbench"], None, r"can't be had from the hub .* give --data a folder with advbench_harmful"),
        (["vicuna-bench"], tmp_path, "is not on the hub"),
        (["hh"], tmp_path / "none", "There is no folder"),
        (["a=x.csv", "a=x.csv"], None, "There is no file x.csv"),
        (["a b=x.csv"], None, "no name for a set"),
    ):
        with pytest.raises(InputError, match=why):
            load_sets(wanted, data)
