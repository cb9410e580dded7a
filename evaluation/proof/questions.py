"""Questions to train on, to choose prompts, rows and epochs on, and to judge answers on, kept apart."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import finetune
from evaluation.sets import Item, load_sets
from finetune.data.near import WORDS, Near
from finetune.data.split import rank
from scene.errors import InputError
from scene.files import replace_file
from scene.nouns import Kind
from scene.tables.questions import Columns, Question, question_id, read_questions
from scene.tables.rows import TableRow, read_table
from scene.text import clean

PSEUDO_HARMFUL = Path(finetune.__file__).with_name("pseudo_harmful.jsonl")
"""Questions that sound harmful and are not, written for this project and not after any benchmark.

The training sets have none, and without them nobody could choose on over-refusal.
"""

REFERENCES = 60
"""Most tasks that come with a reference answer, to choose on what likelihoods are lost."""

HELD_OUT_SHARE = 4
"""One in so many questions is held out, where any are."""

NEAR = 88.0
"""Similarity in percent from which on two questions are the same; between parts, shared words count too."""


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A question that is in no part, the part it would have been in, and which one it nearly repeats."""

    question: str
    part: str
    repeats: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file that questions are drawn from.

    Attributes:
        kind: What its questions are; None where it does not say.
        dev_share: One in so many of its questions is for choosing on.
        held_out: Whether a part of them is held out to judge answers on.
        seen: So many of its first questions are in no part: they were looked at while prompts were written.
    """

    path: Path
    kind: Kind | None
    dev_share: int = 8
    held_out: bool = False
    seen: int = 0


def sources_in(data: Path) -> list[Source]:
    """Where training questions come from."""
    return [
        Source(path=data / "hh_harmless_first_turn.jsonl", kind=None, held_out=True, seen=20),
        Source(path=data / "catqa_english.jsonl", kind="harmful"),
        Source(path=data / "dangerousqa.jsonl", kind="harmful"),
        Source(path=data / "koala_test_set.jsonl", kind="helpful"),
        Source(path=data / "self_instruct_seed_tasks.jsonl", kind="helpful"),
        Source(path=PSEUDO_HARMFUL, kind="helpful", dev_share=2),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Questions that have nothing in common with each other.

    Attributes:
        train: To rehearse and to train on.
        dev: To choose prompts, rows and epochs on: of the same sources, never trained on.
        held_out: Of HH, to judge answers on.
        plain: Benign ones whose plain answers are trained on, without a scene.
        references: Tasks with a text to work on, and a reference answer as `first_answer`. They are of a
            source of benign questions, and in no other part.
    """

    train: list[Question]
    dev: list[Question]
    held_out: list[Question]
    plain: list[Question]
    references: list[Question]
    left_out: list[LeftOut]


def draw_questions(
    data: Path,
    evaluated: Sequence[str],
    limit: int,
    *,
    dev: int,
    held_out: int,
    plain: int,
) -> Drawn:
    """Draw questions of all sources in turn.

    What says nearly the same as a question of another part, or of an evaluated set, is left out. Which part
    a question is in follows from its text alone, and a larger number adds questions at the end: no draw
    trains on what another one is evaluated on. `limit` is the most to train on; the other numbers are the
    most of their parts, as `Drawn` has them.

    Raises:
        InputError: A source or set can't be read.
    """
    if not data.is_dir():
        raise InputError(f"There is no folder {data}; give the folder with the question sets.")
    known = Near(NEAR, WORDS)
    items: list[Item] = load_sets([name for name in evaluated if name != "hh"], data)
    for item in items:
        known.add(item.question)
    references: list[Question] = []
    parts: dict[str, list[list[Question]]] = {"held_out": [], "dev": [], "train": []}
    for source in sources_in(data):
        found = read_questions(str(source.path), Columns(kind=source.kind)).questions
        for question in found[: source.seen]:
            known.add(question.text)
        own: dict[str, list[Question]] = {name: [] for name in parts}
        needy = _with_input(source.path)
        references += (one for one in needy.values() if one.first_answer)
        alone = (one for one in found if one.id not in needy)
        for question in _ranked(alone):
            own[_part(question.text, source)].append(question)
        for name, questions in own.items():
            parts[name].append(questions)
    # A part is gone through to its end before the next: how many are taken of it changes no other part.
    left_out: list[LeftOut] = []
    fresh = {name: _fresh(_in_turn(sources), name, known, left_out) for name, sources in parts.items()}
    # From the end, so that they stay the same while more questions are drawn to train on.
    rest = {question.text for question in fresh["train"][limit:] if question.kind == "helpful"}
    left = ([one for one in questions[::-1] if one.text in rest] for questions in parts["train"])
    benign = list(_in_turn(list(left)))
    return Drawn(
        train=fresh["train"][:limit],
        dev=fresh["dev"][:dev],
        held_out=fresh["held_out"][:held_out],
        plain=benign[:plain],
        references=_fresh(_ranked(references), "references", known, left_out)[:REFERENCES],
        left_out=left_out,
    )


def _fresh(questions: Iterable[Question], part: str, known: Near, left_out: list[LeftOut]) -> list[Question]:
    """Those that are new to other parts, by their words too, and to their own; they are then known."""
    own = Near(NEAR)
    fresh = []
    for question in questions:
        if repeats := known.all(question.text) or own.all(question.text):
            left_out.append(LeftOut(question.text, part, repeats[0]))
        else:
            own.add(question.text)
            fresh.append(question)
    for question in fresh:
        known.add(question.text)
    return fresh


def _with_input(file: Path) -> dict[str, Question]:
    """The tasks that come with a text to work on, and can't be answered without it, by their ids."""
    rows = (row.values for row in read_table(str(file)) if isinstance(row, TableRow))
    return {
        str(values.get("id")): Question(
            id=str(values.get("id")),
            text=clean(f"{values.get('instruction', '')}\n\n{values['input']}"),
            first_answer=clean(str(values.get("output", ""))),
            kind="helpful",
        )
        for values in rows
        if values.get("input")
    }


def _part(text: str, source: Source) -> str:
    """It follows from the text alone."""
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if source.held_out and number % HELD_OUT_SHARE == 0:
        return "held_out"
    return "dev" if number // HELD_OUT_SHARE % source.dev_share == 0 else "train"


def _ranked(questions: Iterable[Question]) -> list[Question]:
    """In an order that is random, and the same whatever other questions there are."""
    return sorted(questions, key=lambda one: rank(one.text, seed=0))


def _in_turn(sources: Sequence[Sequence[Question]]) -> Iterator[Question]:
    """The first of every source, then the second of every source, and so on."""
    for questions in zip_longest(*sources):
        yield from (question for question in questions if question is not None)


def write_questions(questions: Sequence[Question], path: Path) -> None:
    """Write questions as `export` and `evaluate` read them; the ids of different sources are kept apart.

    What came with an answer has it as its reference.
    """
    rows = []
    for one in questions:
        kind = {} if one.kind is None else {"kind": one.kind}
        reference = {"reference": one.first_answer} if one.first_answer else {}
        rows.append({"id": question_id(one.text), "question": one.text, **kind, **reference})
    _write(rows, path)


def write_left_out(left_out: Sequence[LeftOut], path: Path) -> None:
    """Write what was left out, a line each with its part and what it repeats."""
    _write([asdict(one) for one in left_out], path)


def _write(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
