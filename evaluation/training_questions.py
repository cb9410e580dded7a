"""Questions to train on, drawn from what no evaluation uses, and those of HH that are held out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from evaluation.sets import Item, load_sets
from finetune.near import Near
from scene.errors import InputError
from scene.files import replace_file
from scene.nouns import Kind
from scene.questions import Columns, Question, read_questions

SOURCES: dict[str, Kind | None] = {
    "hh_harmless_first_turn.jsonl": None,
    "catqa_english.jsonl": "harmful",
    "dangerousqa.jsonl": "harmful",
    "koala_test_set.jsonl": "helpful",
    "self_instruct_seed_tasks.jsonl": "helpful",
}
"""Files of the training sets, and what their questions are."""

HELD_OUT = "hh_harmless_first_turn.jsonl"
"""The file that is also evaluated on, in a part of its own."""

HELD_OUT_SHARE = 4
"""One in so many of its questions is held out."""

NEAR = 88.0
"""Similarity in percent from which on two questions are the same; see `scene.text.is_repetition`."""


def draw_questions(
    data: Path, evaluated: Sequence[str], limit: int, seed: int = 0
) -> tuple[list[Question], list[Question]]:
    """Questions to train on, of all sources in turn, and those of HH that are held out.

    What says nearly the same as a held-out question, or as one of an evaluated set, is not trained on.

    Args:
        data: Folder with the sources.
        evaluated: Names of the sets that are evaluated on.
        limit: Most questions to train on.
        seed: For the order.

    Raises:
        InputError: A source or set can't be read.
    """
    if not data.is_dir():
        raise InputError(f"There is no folder {data}; give the folder with the question sets.")
    sources: list[list[Question]] = []
    held_out: list[Question] = []
    for file, kind in SOURCES.items():
        found = read_questions(str(data / file), Columns(kind=kind)).questions
        ranked = sorted(found, key=lambda question: _rank(question.text, seed))
        if file == HELD_OUT:
            held_out = [one for one in ranked if _is_held_out(one.text)]
            ranked = [one for one in ranked if not _is_held_out(one.text)]
        sources.append(ranked)
    known = Near(NEAR)
    others: list[Item] = load_sets([name for name in evaluated if name != "hh"], data)
    for text in (*(one.text for one in held_out), *(item.question for item in others)):
        known.first(text)
    drawn: list[Question] = []
    while any(sources) and len(drawn) < limit:
        for source in sources:
            while source and len(drawn) < limit:
                question = source.pop(0)
                before = len(known)
                known.first(question.text)
                if len(known) > before:
                    drawn.append(question)
                    break
    return drawn, held_out


def write_questions(questions: Sequence[Question], path: Path) -> None:
    """Write questions as `export` and `evaluate` read them; the ids of different sources are kept apart."""
    rows = []
    for question in questions:
        identifier = f"q{hashlib.sha256(question.text.encode()).hexdigest()[:12]}"
        kind = {} if question.kind is None else {"kind": question.kind}
        rows.append(json.dumps({"id": identifier, "question": question.text, **kind}, ensure_ascii=False))
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "\n".join(rows) + "\n")


def _rank(text: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}|{text}".encode()).hexdigest()


def _is_held_out(text: str) -> bool:
    """The same questions whatever the seed, so that no draw trains on what another is evaluated on."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16) % HELD_OUT_SHARE == 0
