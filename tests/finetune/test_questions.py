"""The questions that the project ships: no two alike, and none after a benchmark."""

import json
from pathlib import Path
from typing import Any

import pytest

from evaluation.proof.questions import PSEUDO_HARMFUL, draw_questions
from evaluation.sets import load_sets
from finetune.data.near import Near
from scene.state import check_question

QUESTIONS = PSEUDO_HARMFUL.with_name("questions.jsonl")


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_no_two_say_the_same() -> None:
    rows = rows_of(QUESTIONS) + rows_of(PSEUDO_HARMFUL)
    assert len({row["id"] for row in rows}) == len(rows)
    near = Near(80.0)
    for row in rows:
        assert near.first(row["question"]) == row["question"] == check_question(row["question"])


@pytest.mark.parametrize("share", [40, 120])
def test_half_of_those_to_begin_with_are_delicate(share) -> None:
    kinds = [row["kind"] for row in rows_of(QUESTIONS)[:share]]
    assert kinds.count("harmful") == kinds.count("helpful") == share // 2


def test_those_that_only_sound_harmful_are_benign_and_no_benchmark_s(question_sets) -> None:
    benchmarks = ["advbench", "xstest-safe", "xstest-unsafe", "harmfulqa", "vicuna-bench"]
    near = Near(75.0)
    for item in load_sets(benchmarks, question_sets):
        near.first(item.question)
    for row in rows_of(PSEUDO_HARMFUL):
        assert row["kind"] == "helpful"
        assert near.first(row["question"]) == row["question"]


def test_those_that_only_sound_harmful_are_trained_and_chosen_on(question_sets) -> None:
    own = {row["question"] for row in rows_of(PSEUDO_HARMFUL)}
    drawn = draw_questions(question_sets, ["xstest-safe"], 120, dev=1000, held_out=0, plain=60)
    found = {part: sum(one.text in own for one in getattr(drawn, part)) for part in ("train", "plain", "dev")}
    assert found["train"] == found["plain"] == 20
    assert found["dev"] > len(own) / 3
