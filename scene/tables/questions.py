"""Questions of a file or data set: the column found, the text cleaned, an id for each, bad rows reported."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from scene.errors import InputError
from scene.nouns import Kind
from scene.state import check_answer
from scene.tables.chats import CHAT_COLUMNS, UnreadableCellError, first_said, parsed, with_input
from scene.tables.rows import BadRow, read_table
from scene.text import clean, one_line

QUESTION_COLUMNS = (
    "question",
    "prompt",
    "instruction",
    "goal",
    "query",
    *CHAT_COLUMNS,
    "text",
    "input",
)
"""Where a question is looked for, in this order, unless a column is named."""

ID_COLUMNS = ("id", "question_id", "uid", "qid", "custom_id")
REQUEST_COLUMNS = ("body", "params")
"""What a line of a batch for a server's API has its request in, which is looked into like a row."""

KIND_COLUMN = "kind"
PAIR_COLUMN = "pair"
SPLIT_COLUMN = "split"
STYLE_COLUMN = "style"

KINDS: dict[str, Kind] = {
    "harmful": "harmful",
    "unsafe": "harmful",
    "helpful": "helpful",
    "harmless": "helpful",
    "benign": "helpful",
    "safe": "helpful",
}
"""What may stand in a column of kinds."""

MAX_ID_CHARS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question to play a scene for.

    Attributes:
        id: The one it came with, or one derived from its text.
        text: The question, cleaned; of any length, which whoever plays it has to judge.
        first_answer: A first answer that already exists, checked; empty lets the model give its own.
        kind: What the question is in its set for, where that is known.
        split: The part of its set that it belongs to, where a column `split` says so.
        style: The manner in which it asks, where a column `style` says so.
        place: Where it stood, such as "line 12".
        pair: What it has in common with the question that it is a contrast to, as far as its columns say.
    """

    id: str
    text: str
    first_answer: str = ""
    kind: Kind | None = None
    split: str = field(default="", compare=False)
    style: str = field(default="", compare=False)
    place: str = field(default="", compare=False)
    pair: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a table keeps what; None looks under the usual names.

    Attributes:
        question: Column of the question.
        answer: Column of first answers; none is looked for unless it is named.
        kind: Kind of every question, or None to read it from a column.
        kind_column: Column of kinds.
        pair: Columns that say what two contrasting questions have in common.
    """

    question: str | None = None
    answer: str | None = None
    kind: Kind | None = None
    kind_column: str | None = None
    pair: tuple[str, ...] = (PAIR_COLUMN,)


@dataclass
class QuestionSet:
    """What a file or data set holds.

    Attributes:
        questions: The questions, in their order.
        malformed: Rows that can't be used.
        repeated: Rows that say again what an earlier one said: same id, question and first answer.
    """

    questions: list[Question] = field(default_factory=list)
    malformed: list[BadRow] = field(default_factory=list)
    repeated: list[BadRow] = field(default_factory=list)


class _UnusableRowError(Exception):
    """A row holds no question. Caught here and reported."""


def read_questions(
    source: str,
    columns: Columns | None = None,
    *,
    subset: str | None = None,
    split: str | None = None,
    data_dir: str | None = None,
    limit: int | None = None,
) -> QuestionSet:
    """Read the questions of a file or data set; see `scene.tables.rows.read_table` for what may be read.

    Args:
        source: The file or data set.
        columns: Where it keeps what.
        subset: Configuration of a data set.
        split: Split of a data set.
        data_dir: Folder inside a data set, the only one to read.
        limit: Stop at so many questions; what follows is read only for a column that has not come yet.

    Raises:
        InputError: It can't be read, has no column of a name that was given, or holds no question.
    """
    columns = columns or Columns()
    found = QuestionSet()
    places: dict[tuple[str, str, str], str] = {}
    missing = {name for name in (columns.question, columns.answer, columns.kind_column) if name is not None}
    seen: dict[str, None] = {}
    for row in read_table(source, subset=subset, split=split, data_dir=data_dir):
        full = len(found.questions) == limit
        if full and not missing:
            break
        if isinstance(row, BadRow):
            found.malformed.append(row)
            continue
        seen |= dict.fromkeys(row.values)
        missing.difference_update(row.values)
        if full:
            continue
        try:
            question = replace(_question(row.values, columns), place=row.place)
        except _UnusableRowError as error:
            found.malformed.append(BadRow(row.place, str(error)))
            continue
        said = (question.id, question.text, question.first_answer)
        if said in places:
            found.repeated.append(BadRow(row.place, f"it repeats {places[said]}"))
        else:
            places[said] = row.place
            found.questions.append(question)
    if missing and seen:
        raise InputError(f"{source} has no column {min(missing)!r}; its columns are {', '.join(seen)}.")
    if not found.questions:
        why = f" ({found.malformed[0]})" if found.malformed else ""
        raise InputError(f"{source} holds no question{why}; name the column that has them `question`.")
    return found


def question_id(text: str) -> str:
    """The id of a question that came without one."""
    return f"q{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def _question(cells: Mapping[str, Any], columns: Columns) -> Question:
    values = {str(name).strip().casefold(): value for name, value in cells.items()}
    for request in (parsed(values.get(name)) for name in REQUEST_COLUMNS):
        values = {**request, **values} if isinstance(request, Mapping) else values
    values |= cells  # a column that was named is found as it is spelled
    text = clean(_text(values, columns))
    if not text:
        raise _UnusableRowError("its question is empty")
    return Question(
        id=_id(values) or question_id(text),
        text=text,
        first_answer=_answer(values.get(columns.answer)) if columns.answer else "",
        kind=_kind(values, columns),
        split=one_line(str(values.get(SPLIT_COLUMN) or "")),
        style=one_line(str(values.get(STYLE_COLUMN) or "")),
        pair=tuple(one_line(str(values.get(name) or "")) for name in columns.pair),
    )


def _text(values: Mapping[str, Any], columns: Columns) -> str:
    """The question as it stands in the row; Alpaca's `input` belongs to its `instruction`."""
    if columns.question is not None:
        return _asked(values.get(columns.question), columns.question)
    for name in QUESTION_COLUMNS:
        if values.get(name):
            text = _asked(values[name], name)
            return with_input(text, values) if name == "instruction" else text
    raise _UnusableRowError("it has no question")


def _asked(cell: Any, column: str) -> str:  # noqa: ANN401  # whatever stands in a cell
    try:
        return first_said("user", cell, always=column.strip().casefold() in CHAT_COLUMNS)
    except UnreadableCellError as error:
        raise _UnusableRowError(f"column {column!r} {error}") from error


def _answer(cell: Any) -> str:  # noqa: ANN401
    try:
        return check_answer(first_said("assistant", cell))
    except UnreadableCellError as error:
        raise _UnusableRowError(f"its first answer {error}") from error
    except InputError as error:
        said = str(error).rstrip(".")
        raise _UnusableRowError(said[0].lower() + said[1:]) from error


def _id(values: Mapping[str, Any]) -> str:
    for name in ID_COLUMNS:
        value = values.get(name)
        if isinstance(value, str | int) and (identifier := one_line(str(value))):
            if len(identifier) > MAX_ID_CHARS:
                raise _UnusableRowError(f"its id has {len(identifier):,} characters")
            return identifier
    return ""


def _kind(values: Mapping[str, Any], columns: Columns) -> Kind | None:
    if columns.kind is not None:
        return columns.kind
    column = columns.kind_column or KIND_COLUMN
    value = values.get(column)
    if value is None or value == "":
        return None
    kind = KINDS.get(str(value).strip().casefold())
    if kind is None:
        raise _UnusableRowError(
            f"column {column!r} says {one_line(str(value))[:40]!r}, which is none of {', '.join(KINDS)}"
        )
    return kind
