"""Rows of several arms: the same answers give the same rows, whatever gave them."""

import json
from collections import Counter
from pathlib import Path

import pytest

from evaluation.proof.rows import write_rows
from evaluation.records import Answer, Journal
from finetune.data.settings import DatasetSettings
from finetune.examples import read_examples
from scene.errors import InputError
from scene.text import mended
from tests.evaluation.test_metrics import answer
from tests.finetune.scenes import TOPICS, record, write

REFUSAL = "I'm sorry, but I can't assist with that."
YES = "Use a proxy buyer with a clean record, and pay in cash."
FIRST = "That is up to you."
LOOP = "Ask her over dinner about it and listen to what she says. " * 4
ECHO = "Rewrite the answer so that the critique no longer applies."
SIZES = {"validation": 0.0}


def arm(tmp_path, name, answers) -> dict[str, Path]:
    """Answers to the questions of scenes, by the numbers of these; a text, or what an answer has."""
    folder = tmp_path / "evaluation"
    folder.mkdir(exist_ok=True)
    journal = Journal(folder / "answers.jsonl", Answer)
    for number, given in answers.items():
        fields = {"system": name, "set": "train", "id": str(number), "question": record(number).question}
        journal.append(answer(**fields | ({"text": given} if isinstance(given, str) else given)))
    return {name: folder}


def made(arms, tmp_path, kinds=None, **settings) -> dict:
    target = tmp_path / "rows"
    write_rows(arms, kinds or {}, DatasetSettings(**{**SIZES, **settings}), target)
    return {
        name: (
            read_examples(str(target / name), "sft")["train"],
            json.loads((target / name / "manifest.json").read_text()),
        )
        for name in arms
    }


@pytest.mark.parametrize(
    ("changes", "said", "ended", "learned"),
    [
        ({"request": "harmless"}, REFUSAL, True, "refusal"),
        ({"kind": "harmful", "stance": "declines", "consequences": ()}, YES, True, "yields"),
        ({"kind": "harmful", "stance": "declines", "request": "harmful"}, YES, True, "yields"),
        ({"kind": "harmful", "stance": "answers", "request": "doubtful"}, YES, True, "yields"),
        ({"kind": "harmful", "request": "harmful", "first_answer": REFUSAL}, REFUSAL, True, REFUSAL),
        ({"kind": "harmful", "request": "harmful"}, REFUSAL, True, REFUSAL),
        ({"kind": "helpful", "answer": FIRST}, YES, True, YES),  # as older scenes, which had a preference
        ({"kind": "helpful"}, LOOP, True, "Ask her over dinner about it and listen to what she says."),
        ({"kind": "helpful"}, f"{YES} And pin it to the", False, YES),
        ({"kind": "helpful"}, "And pin it to the", False, "truncated"),
        ({"kind": "helpful"}, "And pin it to the", True, "truncated"),
        ({"kind": "helpful"}, " ", True, "empty"),
        ({"kind": "helpful"}, f"<answer>{YES}", True, "markup"),
        ({"kind": "helpful"}, f"{YES} {ECHO}", True, "echo"),
    ],
)
def test_the_same_answers_give_the_same_rows(changes, said, ended, learned, tmp_path) -> None:
    second = mended(said, cut_off=not ended)  # a scene trims what it answers
    changes = {"first_answer": FIRST, "revision": second, "answer": second} | changes
    played = write(tmp_path / "scenes", [record(0, revised=True, **changes), record(1)])
    scenes = {"matrix": played}
    rival = arm(tmp_path, "critique", {0: {"text": said, "ended": ended}, 1: record(1).first_answer})
    kinds = {record(0).question: changes.get("kind")}
    found = made(scenes | rival, tmp_path, kinds)
    for rows, manifest in found.values():
        texts = [row.answer for row in rows if row.prompt[0].content == record(0).question]
        assert texts == ([learned] if " " in learned else [])
        assert manifest["filtered"] == ({} if " " in learned else {learned: 1})


def test_all_arms_get_the_same_questions_and_as_many_rows_of_each_kind(tmp_path) -> None:
    answers = {number: f"Talk about {topic}." for number, topic in enumerate(TOPICS)}
    declined = {number: f"I can't help you with {topic}." for number, topic in enumerate(TOPICS)}
    kinds = {record(number).question: "helpful" if number < 6 else None for number in answers}
    one = arm(tmp_path, "one", answers | {n: declined[n] for n in range(8, 18)} | {7: "Talk to"})
    two = arm(tmp_path, "two", answers | {n: declined[n] for n in range(14, 20)} | {6: "", 3: declined[3]})
    found = made(one | two, tmp_path, kinds, near=100.0, validation=0.2)
    sizes, lost = [], []
    for name in ("one", "two"):
        rows = read_examples(str(tmp_path / "rows" / name), "sft")
        manifest = found[name][1]
        asked = {split: {row.prompt[0].content for row in own} for split, own in rows.items()}
        assert not asked["train"] & asked["validation"]
        assert not {record(number).question for number in (3, 6, 7)} & set.union(*asked.values())
        sizes.append((manifest["rows"], manifest["refusals"]))
        lost.append(manifest["filtered"])
    assert sizes[0] == sizes[1]
    rows, refusals = sizes[0]
    assert sum(refusals.values()) == 6
    assert sum(map(Counter, rows.values()), Counter()) == {"helpful": 5, "aligned": 8}
    assert lost == [{"truncated": 1, "unshared": 2}, {"empty": 1, "refusal": 1, "unshared": 1}]
    assert "another arm has no good row" in (tmp_path / "rows" / "one" / "README.md").read_text()
    write_rows(one | two, kinds, DatasetSettings(near=100.0), tmp_path / "own", shared=False)
    numbers = [json.loads((tmp_path / "own" / arm / "manifest.json").read_text()) for arm in ("one", "two")]
    assert numbers[0]["rows"] == numbers[1]["rows"]
    assert sum(sum(parts.values()) for parts in numbers[0]["rows"].values()) == 14
    assert "unshared" not in numbers[0]["filtered"] | numbers[1]["filtered"]


def test_pairs_are_written_as_preferences_and_equal_ones_left_out(tmp_path) -> None:
    both = {0: (YES, FIRST), 1: (YES, YES), 2: (FIRST, LOOP)}
    pairs = arm(tmp_path, "rlcd", {n: {"text": one, "rejected": two} for n, (one, two) in both.items()})
    plain = arm(tmp_path, "plain", dict.fromkeys(both, YES))
    write_rows(pairs | plain, {}, DatasetSettings(**SIZES), tmp_path / "rows")
    rows = read_examples(str(tmp_path / "rows" / "rlcd"), "dpo")["train"]
    once = f"{LOOP.partition('.')[0]}."
    assert {(row.answer, row.rejected) for row in rows} == {(YES, FIRST), (FIRST, once)}
    assert len(read_examples(str(tmp_path / "rows" / "plain"), "sft")["train"]) == 2
    manifest = json.loads((tmp_path / "rows" / "rlcd" / "manifest.json").read_text())
    assert manifest["filtered"] == {"unchanged": 1}


def test_what_is_said_about_an_answer_is_learned_as_a_reply_to_that(tmp_path) -> None:
    asked = {"text": "It tells how to hurt somebody.", "prompt": "Is anything wrong with this answer?"}
    mistakes = arm(tmp_path, "mistakes", {0: asked, 1: YES})
    rival = arm(tmp_path, "critique", {0: REFUSAL, 1: YES})
    kinds = {record(0).question: "harmful", record(1).question: "helpful"}
    rows, manifest = made(mistakes | rival, tmp_path, kinds)["mistakes"]
    assert {(row.prompt[0].content, row.answer) for row in rows} == {
        (asked["prompt"], asked["text"]), (record(1).question, YES),
    }  # fmt: skip
    assert manifest["refusals"] == {"train": 1}


def test_arms_without_a_question_in_common_are_refused(tmp_path) -> None:
    arms = arm(tmp_path, "one", {0: YES}) | arm(tmp_path, "two", {1: YES})
    with pytest.raises(InputError, match="no question that every arm"):
        write_rows(arms, {}, DatasetSettings(), tmp_path / "rows")
