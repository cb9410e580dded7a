"""The questions that the project ships: as many delicate ones as benign ones, no two alike."""

import json
from pathlib import Path

import pytest

from finetune.near import Near
from scene.state import check_question

FILE = Path(__file__).resolve().parents[2] / "finetune" / "questions.jsonl"


@pytest.mark.parametrize("share", [40, 120])
def test_half_of_them_are_delicate(share) -> None:
    rows = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 120
    kinds = [row["kind"] for row in rows[:share]]
    assert kinds.count("harmful") == kinds.count("helpful") == share // 2
    assert len({row["id"] for row in rows}) == len(rows)
    near = Near(80.0)
    for row in rows:
        assert near.first(row["question"]) == row["question"] == check_question(row["question"])
