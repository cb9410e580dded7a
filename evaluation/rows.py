"""Answers of a method as a data set, to tune a model on by the recipe that rows of scenes get."""

from __future__ import annotations

import json
from pathlib import Path

from evaluation.records import Answer, Journal
from evaluation.store import ANSWERS
from scene.errors import InputError
from scene.files import replace_file
from scene.text import ends_whole, loops


def write_rows(folder: Path, system: str, target: Path) -> tuple[int, int]:
    """Write a method's good answers as prompts and completions, in `target/train.jsonl`.

    An answer is left out that failed, was cut off, ends in mid-sentence or goes round in circles. The prompt
    is the bare question, whatever the method asked: that is what is distilled.

    Args:
        folder: An evaluation.
        system: The system whose answers to take.
        target: Folder of the data set.

    Returns:
        Rows written, and answers left out.

    Raises:
        InputError: There is no such evaluation, or it has no good answer of the system.
    """
    if not (folder / ANSWERS).is_file():
        raise InputError(f"{folder} holds no answers; give a folder that `evaluate` wrote.")
    answers = {one.key: one for one in Journal(folder / ANSWERS, Answer).records if one.system == system}
    rows = [
        {
            "prompt": [{"role": "user", "content": one.question}],
            "completion": [{"role": "assistant", "content": one.text}],
            "id": one.id,
        }
        for one in answers.values()
        if one.error is None and one.ended and ends_whole(one.text) and not loops(one.text)
    ]
    if not rows:
        raise InputError(f"{folder} has no whole answer of a system called {system!r}.")
    target.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    replace_file(target / "train.jsonl", "\n".join(lines) + "\n")
    return len(rows), len(answers) - len(rows)
