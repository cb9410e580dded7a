"""Questions to train on, to choose prompts, rows and epochs on, and to judge answers on, kept apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from evaluation.sets import Item, load_sets
from finetune.near import Near
from scene.errors import InputError
from scene.files import replace_file
from scene.nouns import Kind
from scene.questions import Columns, Question, read_questions
from scene.tables import TableRow, read_table

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

SEEN = 20
"""So many of its first questions were looked at while prompts were written, so they are in no part."""

DEV_SHARE = 8
"""One in so many of the other questions of every source is for choosing on."""

NEAR = 88.0
"""Similarity in percent from which on two questions are the same; see `scene.text.is_repetition`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Questions that have nothing in common with each other.

    Attributes:
        train: To rehearse and to train on.
        dev: To choose prompts, rows and epochs on: of the same sources, never trained on.
        held_out: Of HH, to judge answers on.
        plain: Benign ones whose plain answers are trained on, without a scene.
    """

    train: list[Question]
    dev: list[Question]
    held_out: list[Question]
    plain: list[Question]


def draw_questions(
    data: Path,
    evaluated: Sequence[str],
    limit: int,
    *,
    dev: int,
    held_out: int,
    plain: int = 0,
    seed: int = 0,
) -> Drawn:
    """Draw questions of all sources in turn.

    What says nearly the same as a question of another part, or of an evaluated set, is left out. Which part
    a question is in follows from its text alone, and a larger number adds questions at the end: no draw
    trains on what another one is evaluated on.

    Args:
        data: Folder with the sources.
        evaluated: Names of the sets that are evaluated on.
        limit: Most questions to train on.
        dev: Most questions to choose on.
        held_out: Most questions to judge answers on.
        plain: Most benign questions whose plain answers are trained on.
        seed: For the order.

    Raises:
        InputError: A source or set can't be read.
    """
    if not data.is_dir():
        raise InputError(f"There is no folder {data}; give the folder with the question sets.")
    known = Near(NEAR)
    items: list[Item] = load_sets([name for name in evaluated if name != "hh"], data)
    for item in items:
        known.first(item.question)
    parts: dict[str, list[list[Question]]] = {"held_out": [], "dev": [], "train": []}
    for file, kind in SOURCES.items():
        found = read_questions(str(data / file), Columns(kind=kind)).questions
        if file == HELD_OUT:
            for question in found[:SEEN]:
                known.first(question.text)
        own: dict[str, list[Question]] = {name: [] for name in parts}
        needy = _with_input(data / file)
        alone = (one for one in found if one.id not in needy)
        for question in sorted(alone, key=lambda one: _rank(one.text, seed)):
            own[_part(question.text, file)].append(question)
        for name, questions in own.items():
            parts[name].append(questions)
    # A part is gone through to its end before the next: how many are taken of it changes no other part.
    fresh = {name: list(_new(_in_turn(sources), known)) for name, sources in parts.items()}
    # From the end, so that they stay the same while more questions are drawn to train on.
    benign = [question for question in reversed(fresh["train"][limit:]) if question.kind == "helpful"]
    return Drawn(
        train=fresh["train"][:limit],
        dev=fresh["dev"][:dev],
        held_out=fresh["held_out"][:held_out],
        plain=benign[:plain],
    )


def _with_input(file: Path) -> set[str]:
    """Ids of the tasks that come with a text to work on, and can't be answered without it."""
    rows = (row.values for row in read_table(str(file)) if isinstance(row, TableRow))
    return {str(values.get("id")) for values in rows if values.get("input")}


def _part(text: str, file: str) -> str:
    """The same whatever the seed."""
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if file == HELD_OUT and number % HELD_OUT_SHARE == 0:
        return "held_out"
    return "dev" if number // HELD_OUT_SHARE % DEV_SHARE == 0 else "train"


def _in_turn(sources: Sequence[Sequence[Question]]) -> Iterator[Question]:
    """The first of every source, then the second of every source, and so on."""
    for questions in zip_longest(*sources):
        yield from (question for question in questions if question is not None)


def _new(questions: Iterator[Question], known: Near) -> Iterator[Question]:
    """Those that repeat nothing that came before."""
    for question in questions:
        before = len(known)
        known.first(question.text)
        if len(known) > before:
            yield question


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
