"""The questions to compare systems on: known sets by name, or any file or data set of the user's."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from evaluation.choices import CHOICES, choices_of
from scene.errors import InputError
from scene.nouns import Kind
from scene.tables.questions import PAIR_COLUMN, QUESTION_COLUMNS, Columns, Question, read_questions
from scene.tables.rows import TableRow, read_table

REFERENCE = "reference"
"""Column of reference answers in a set of the user's own."""

_NAME = re.compile(r"[\w.-]+")


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str | None = None
    reference: str | None = None
    kind_column: str | None = None
    pair: tuple[str, ...] = (PAIR_COLUMN,)
    transcript: bool = False


class _HubForm(_Form):
    id: str
    split: str
    data_dir: str | None = None


class KnownSet(_Form):
    """What `sets.yaml` says about a set."""

    about: str
    kind: Kind | None = None
    files: Annotated[tuple[str, ...], Field(min_length=1)]
    hub: _HubForm | None = None
    themes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A question of a set.

    Attributes:
        id: The question's id, unique in the set.
        kind: Whether it should be declined or answered; None where the set does not say.
        reference: An answer that exists: a good one in benign sets, in AdvBench the one that an attack wants.
        pair: What it has in common with its contrast, the most general first; see `contrasts`.
        choices: Answers of which one is right; such a question is not asked, but its choices scored.
    """

    set: str
    id: str
    question: str
    kind: Kind | None
    reference: str
    pair: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    right: int = 0

    @property
    def key(self) -> tuple[str, str]:
        """Tells it from the items of all sets."""
        return (self.set, self.id)

    @property
    def last_choice(self) -> int | None:
        """Place of the last of its choices, if it has any."""
        return len(self.choices) - 1 if self.choices else None


@dataclass(frozen=True, slots=True)
class Contrast:
    """A question to be answered and one to be declined that sounds like it, under the name of their sets."""

    set: str
    safe: Item
    unsafe: Item


def contrasts(items: Iterable[Item]) -> list[Contrast]:
    """The pairs among some questions, each question in one at most.

    Those of one theme are paired: first those that agree in all else too, then the rest as they come.
    """
    kinds: dict[str, dict[str, list[Item]]] = {}
    for item in items:
        if item.kind is not None and item.pair and item.pair[0]:
            kinds.setdefault(item.pair[0], {"helpful": [], "harmful": []})[item.kind].append(item)
    found = []
    for own in kinds.values():
        for exactly in (True, False):
            for unsafe in list(own["harmful"]):
                alike = (one for one in own["helpful"] if one.pair == unsafe.pair or not exactly)
                if (safe := next(alike, None)) is not None:
                    found.append(Contrast(_together(safe.set, unsafe.set), safe, unsafe))
                    own["helpful"].remove(safe)
                    own["harmful"].remove(unsafe)
    return found


def _together(one: str, other: str) -> str:
    """What two sets are called, such as `xstest` for `xstest-safe` and `xstest-unsafe`."""
    return one if one == other else one.rpartition("-")[0] or f"{one}+{other}"


@cache
def known_sets() -> dict[str, KnownSet]:
    """The sets that are known by name."""
    text = Path(__file__).with_name("sets.yaml").read_text(encoding="utf-8")
    return TypeAdapter(dict[str, KnownSet]).validate_python(yaml.safe_load(text))


def load_sets(
    wanted: Sequence[str],
    data: Path | None = None,
    *,
    limit: int | None = None,
    seed: int = 0,
    subsets: Sequence[str] = (),
    splits: Sequence[str] = (),
) -> list[Item]:
    """The items of several sets, one set after the other.

    Args:
        wanted: Known names, or `NAME=SOURCE` with a file, folder or hub id. A source for a known name is read
            with that set's columns, any other with the usual ones.
        data: Folder with the files of known sets; without it they come from the hub.
        limit: Most questions of a set, drawn at random.
        seed: For that draw.
        subsets: Configurations of data sets that have several, as `SET=NAME`; `NAME` alone where one set is
            wanted.
        splits: Splits of data sets, likewise.

    Raises:
        InputError: A name is unknown or given twice, or a source can't be read.
    """
    items: list[Item] = []
    names: set[str] = set()
    all_names = [spec.partition("=")[0] for spec in wanted]
    subset_of, split_of = _chosen("--subset", subsets, all_names), _chosen("--split", splits, all_names)
    for spec in wanted:
        name, _, source = spec.partition("=")
        if name in names:
            raise InputError(f"The set {name} is given twice; leave one out.")
        if not _NAME.fullmatch(name):
            raise InputError(f"{name!r} is no name for a set; use letters, digits, dots and dashes.")
        names.add(name)
        found = _read(name, source, data, subset_of.get(name), split_of.get(name))
        if limit is not None and len(found) > limit:
            drawn = sorted(random.Random(seed).sample(range(len(found)), limit))
            found = [found[place] for place in drawn]
        items += found
    return items


def check_score_only(
    names: Sequence[str], items: Sequence[Item], judged: Sequence[str], *, likelihood: bool
) -> None:
    """See that there is something to score in sets whose questions are not to be answered.

    Raises:
        InputError: There is not.
    """
    for name in names:
        if name not in {item.set for item in items}:
            raise InputError(f"--score-only {name} is none of the sets; give it with --set too.")
        if not likelihood:
            raise InputError(f"Nothing would be done with {name}; leave out --score-only or --no-likelihood.")
        if name in judged:
            raise InputError(
                f"{name} gets no answers to judge; leave out --score-only or --judge-set {name}."
            )
        if not any(item.reference for item in items if item.set == name):
            raise InputError(f"The set {name} has no references to score; leave out --score-only {name}.")


def _chosen(option: str, texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """What was chosen of each set: `SET=NAME` means one of them, `NAME` the only one."""
    chosen: dict[str, str] = {}
    for text in texts:
        name, _, part = text.rpartition("=")
        name = name or (names[0] if len(names) == 1 else "")
        if name not in names or name in chosen or not part:
            raise InputError(
                f"{option} {text} is for none of the sets; write SET=NAME, at most once for each of "
                f"{', '.join(names)}."
            )
        chosen[name] = part
    return chosen


def _read(
    name: str, source: str, data: Path | None, subset: str | None, chosen_split: str | None
) -> list[Item]:
    known = known_sets().get(name)
    if known is None and not source:
        raise InputError(
            f"There is no set {name!r}; give {', '.join(known_sets())}, or your own as NAME=FILE."
        )
    if known is None:
        there = _columns(source)
        columns = Columns(answer=REFERENCE if REFERENCE in there else None)
        found = read_questions(source, columns, subset=subset, split=chosen_split).questions
        items = _items(name, found, None)
        return _with_choices(items, found, source) if CHOICES in there else items
    source = source or str(_file(known, data) or "")
    if source:
        form, split, data_dir = _form_of(source, known), None, None
    else:
        form = hub = _on_hub(name, known, data)
        source, split, data_dir = hub.id, hub.split, hub.data_dir
    columns = Columns(
        question=form.question,
        answer=form.reference,
        kind=None if form.kind_column else known.kind,
        kind_column=form.kind_column,
        pair=form.pair,
    )
    try:
        questions = read_questions(
            source, columns, subset=subset, split=chosen_split or split, data_dir=data_dir
        ).questions
    except InputError as error:
        if split is None:
            raise
        raise InputError(
            f"The set {name} can't be had from the hub as {source} ({str(error).rstrip('.')}); "
            f"give --data a folder with {' or '.join(known.files)}."
        ) from error
    if known.kind is not None:
        questions = [question for question in questions if question.kind == known.kind]
    if form.transcript:
        questions = _first_turns(questions)
    if not questions:
        raise InputError(f"{source} holds no question for the set {name}.")
    return _items(name, questions, known.kind, known.themes)


def _columns(source: str) -> set[str]:
    """What the rows of a file say; a data set is not asked."""
    if not Path(source).is_file():
        return set()
    return {str(name) for row in read_table(source) if isinstance(row, TableRow) for name in row.values}


def _with_choices(items: Sequence[Item], questions: Sequence[Question], source: str) -> list[Item]:
    rows = {row.place: row.values for row in read_table(source) if isinstance(row, TableRow)}
    found = []
    for item, question in zip(items, questions, strict=True):
        choices, right = choices_of(rows[question.place], f"{source}, {question.place}")
        found.append(replace(item, choices=choices, right=right, reference=""))
    return found


def _file(known: KnownSet, data: Path | None) -> Path | None:
    if data is None:
        return None
    if not data.is_dir():
        raise InputError(f"There is no folder {data}; give --data the folder with the question sets.")
    return next((data / file for file in known.files if (data / file).is_file()), None)


def _form_of(source: str, known: KnownSet) -> _Form:
    """Where a file keeps what: the hub's way, where it has the columns of that and not ours."""
    if known.hub is None or not Path(source).is_file():
        return known
    columns = _columns(source)
    return known.hub if _fits(known.hub, columns) and not _fits(known, columns) else known


def _fits(form: _Form, columns: set[str]) -> bool:
    named = {name for name in (form.question, form.reference, form.kind_column) if name is not None}
    return named <= columns and (form.question is not None or not columns.isdisjoint(QUESTION_COLUMNS))


def _on_hub(name: str, known: KnownSet, data: Path | None) -> _HubForm:
    if known.hub is None:
        where = "" if data is None else f"{data} has none; "
        raise InputError(
            f"The set {name} is not on the hub, and {where or 'no folder was given; '}"
            f"give --data a folder with {' or '.join(known.files)}."
        )
    if data is not None:
        raise InputError(
            f"{data} has no {' or '.join(known.files)}; put it there, or leave out --data to have {name} "
            "from the hub."
        )
    return known.hub


def _items(
    name: str, questions: Sequence[Question], kind: Kind | None, themes: Sequence[str] = ()
) -> list[Item]:
    """The questions as items; those that share an id are told apart by number."""
    seen: dict[str, int] = {}
    items = []
    for question in questions:
        times = seen[question.id] = seen.get(question.id, 0) + 1
        items.append(
            Item(
                set=name,
                id=question.id if times == 1 else f"{question.id}-{times}",
                question=question.opening,
                kind=kind or question.kind,
                reference=question.first_answer,
                pair=tuple(
                    next((theme for theme in themes if theme in said), said) for said in question.pair
                ),
            )
        )
    return items


def _first_turns(questions: Sequence[Question]) -> list[Question]:
    """What is said first in dialogues, each once."""
    found: dict[str, Question] = {}
    for one in questions:
        found.setdefault(one.opening, Question(id=one.id, text=one.opening, kind=one.kind))
    return list(found.values())
