"""Questions of a file or data set: the column found, the text cleaned, an id for each, bad rows reported."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from scene.conversation import Conversation, InContext, conversation_of, whole_text
from scene.errors import InputError
from scene.nouns import Kind, Turn
from scene.state import check_answer
from scene.tables.chats import (
    CHAT_COLUMNS,
    Role,
    UnreadableCellError,
    answer_in,
    parsed,
    said_in,
    system_in,
    text_of,
    with_input,
)
from scene.tables.rows import BadRow, read_table
from scene.text import clean, one_line
from scene.thought import heard

QUESTION_COLUMNS = ("question", "prompt", "instruction", "goal", "query", *CHAT_COLUMNS, "text", "input")
"""Where a question is looked for, in this order, unless a column is named."""

ID_COLUMNS = ("id", "question_id", "uid", "qid", "custom_id")
SYSTEM_PROMPT_COLUMN, HISTORY_COLUMN = "system_prompt", "history"
SYSTEM_COLUMNS = ("system", "systeminstruction", "system_instruction", "instructions")
"""What came before a question: all of it beside an instruction, as in Alpaca's rows, these beside a chat too,
as in ShareGPT's rows and requests of a server's API. In other tables they may hold anything."""

REQUEST_COLUMNS = ("body", "params")
"""What a line of a batch for a server's API has its request in, which is looked into like a row."""

KIND_COLUMN, PAIR_COLUMN, SPLIT_COLUMN, STYLE_COLUMN = "kind", "pair", "split", "style"

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
        place: Where it stood, such as "line 12".
        pair: What it has in common with the question that it is a contrast to, as far as its columns say.
    """

    id: str
    text: str
    history: tuple[Turn, ...] = ()
    system: str = ""
    first_answer: str = ""
    kind: Kind | None = None
    split: str = field(default="", compare=False)
    style: str = field(default="", compare=False)
    place: str = field(default="", compare=False)
    pair: tuple[str, ...] = field(default=(), compare=False)

    @property
    def opening(self) -> str:
        """What the user said first: the question where nothing was said before it."""
        return next((turn.content for turn in self.history if turn.role == "user"), self.text)


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a table keeps what; None looks under the usual names.

    Attributes:
        answer: Column of first answers; none is looked for unless it is named.
        kind: Kind of every question, or None to read it from a column.
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
        repeated: Rows that say again what an earlier one said: same id, question, turns before it, system
            prompt and first answer.
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

    It stops at `limit` questions; what follows is read only for a column that has not come yet.

    Raises:
        InputError: It can't be read, has no column of a name that was given, or holds no question.
    """
    columns = columns or Columns()
    found = QuestionSet()
    places: dict[Question, str] = {}
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
        said = replace(question, kind=None)
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


def question_id(text: str, context: InContext | None = None) -> str:
    """The id of a question that came without one."""
    said = text if context is None else whole_text(text, context)
    return f"q{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _question(cells: Mapping[str, Any], columns: Columns) -> Question:
    values = _named(cells)
    for request in (parsed(values.get(name)) for name in REQUEST_COLUMNS):
        values = {**_named(request), **values} if isinstance(request, Mapping) else values
    values |= cells  # a column that was named is found as it is spelled
    asked = _asked(values, columns)
    text = clean(asked.question)
    if not text:
        raise _UnusableRowError("its question is empty")
    return Question(
        id=_id(values) or question_id(text, asked),
        text=text,
        history=asked.history,
        system=asked.system,
        first_answer=_answer(values.get(columns.answer)) if columns.answer else "",
        kind=_kind(values, columns),
        split=one_line(str(values.get(SPLIT_COLUMN) or "")),
        style=one_line(str(values.get(STYLE_COLUMN) or "")),
        pair=tuple(one_line(str(values.get(name) or "")) for name in columns.pair),
    )


def _named(cells: Mapping[str, Any]) -> dict[str, Any]:
    return {str(name).strip().casefold(): value for name, value in cells.items()}


def _asked(values: Mapping[str, Any], columns: Columns) -> Conversation:
    """The question of a row, and what was said before it; Alpaca's `input` belongs to its `instruction`.

    The last that the user says in a chat is the question, whatever comes after it.
    """
    column = columns.question or next((name for name in QUESTION_COLUMNS if values.get(name)), None)
    if column is None:
        raise _UnusableRowError("it has no question")
    with _about(f"column {column!r}"):
        said = said_in(values.get(column), always=column.strip().casefold() in CHAT_COLUMNS)
    beside = column == "instruction" or not isinstance(said, str)
    if isinstance(said, str):
        alpaca = column == "instruction" and columns.question is None
        before = _pairs(values.get(HISTORY_COLUMN)) if alpaca else []
        with _about("it"):
            said = [*before, ("user", with_input(said, values) if alpaca else said)]
    while said and said[-1][0] != "user":
        said.pop()
    if not said:
        raise _UnusableRowError(f"column {column!r} is a chat without a message of the user")
    *turns, last = said
    system = ""
    if not any(role == "system" for role, _ in turns):  # the chat's own
        with _about("it"):
            system = clean(system_in(values, (SYSTEM_PROMPT_COLUMN, *(SYSTEM_COLUMNS if beside else ()))))
    with _about("its question"):
        return conversation_of([*(turn for turn in turns if clean(turn[1])), last], system)


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Refuse the row where a cell of it can't be used, and say why."""
    try:
        yield
    except UnreadableCellError as error:
        raise _UnusableRowError(f"{what} {error}") from error
    except InputError as error:
        said = str(error).rstrip(".")
        raise _UnusableRowError(said[0].lower() + said[1:]) from error


def _pairs(cell: Any) -> list[tuple[Role, str]]:  # noqa: ANN401  # whatever stands in a cell
    """The instructions and answers before an instruction, as LLaMA-Factory's rows have them."""
    pairs = parsed(cell) or []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise _UnusableRowError(f"column {HISTORY_COLUMN!r} is no list of pairs of what was said")
    turns: list[tuple[Role, str]] = []
    with _about(f"column {HISTORY_COLUMN!r}"):
        for asked, answered in pairs:
            turns += [("user", text_of(asked)), ("assistant", text_of(answered))]
    return turns


def _answer(cell: Any) -> str:  # noqa: ANN401
    with _about("its first answer"):
        said = check_answer(answer_in(cell))
    if said and not (answer := heard(said).text.strip()):
        raise _UnusableRowError("its first answer is a thought and no answer")
    return answer if said else ""


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
