"""Answers of two systems to the same questions, for people to rate."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evaluation.metrics import value_of
from evaluation.records import Answer
from evaluation.store import ANSWERS
from scene.conversation import whole_text
from scene.errors import InputError
from scene.tables.chats import CHAT_COLUMNS
from scene.tables.nouns import read_nouns
from scene.tables.questions import Columns, read_questions
from scene.tables.rows import BadRow, read_table
from viewer.decks import Pair

ANSWER_COLUMNS = ("answer", "response", "output", "completion", "chosen", "text", *CHAT_COLUMNS)
"""Where a file's answers are looked for, in this order."""

TEXT_METRICS = ("refusal", "attack_success", "attack_success_advbench", "over_refusal")
"""Figures that the text of an answer alone decides."""


@dataclass(frozen=True, slots=True)
class _Said:
    """What is answered to a question, and where the question is from."""

    text: str
    set: str = ""
    id: str = ""


def pairs_of(
    sources: Sequence[Path], names: tuple[str, str] | None, differ: str | None = None
) -> tuple[list[Pair], int]:
    """The pairs of two files with answers, or of two systems of one evaluation.

    Args:
        sources: Two files, or the folder of an evaluation.
        names: The two systems, the one that is compared before the baseline; needed where there are more.
        differ: A figure of an answer's text that differs between the two; None for every pair.

    Returns:
        The pairs, and how many are not among them since their two answers, or these figures, are the same.

    Raises:
        InputError: A source can't be read, the systems are not to be told, or they share no question.
    """
    folder = sources[0]
    both: Mapping[str, Mapping[str, _Said]] = {}
    if len(sources) == 1 and folder.is_dir():
        both = _of_evaluation(folder, names)
    elif len(sources) == 2 and names is None:
        labels = [path.stem for path in sources] if sources[0].stem != sources[1].stem else map(str, sources)
        both = {label: _of_file(path) for label, path in zip(labels, sources, strict=True)}
    if len(both) != 2:
        raise InputError("--rate takes two files with answers, or the folder of an evaluation and a --pair.")
    (one, ours), (other, theirs) = both.items()
    shared = [question for question in ours if ours[question].text and theirs.get(question, _Said("")).text]
    pairs = [
        Pair(
            names=(one, other),
            answers=(ours[question].text, theirs[question].text),
            set=ours[question].set,
            id=ours[question].id,
            question=question,
        )
        for question in shared
    ]
    if differ not in (None, *TEXT_METRICS):
        raise InputError(f"There is no figure {differ!r} to differ in; give {', '.join(TEXT_METRICS)}.")
    unlike = [pair for pair in pairs if _figure(pair, 0, differ) != _figure(pair, 1, differ)]
    if not unlike:
        why = "all their answers are the same" if pairs else "no question is answered by both"
        raise InputError(f"There is nothing to rate between {one} and {other}: {why}.")
    return unlike, len(pairs) - len(unlike)


def _figure(pair: Pair, place: int, metric: str | None) -> float | str | None:
    """What the answer at a place comes to, or its text."""
    text = pair.answers[place]
    where = {"system": pair.names[place], "set": pair.set, "id": pair.id, "question": pair.question}
    return text if metric is None else value_of(metric, Answer(text=text, ended=True, **where))


def _of_evaluation(folder: Path, names: tuple[str, str] | None) -> Mapping[str, Mapping[str, _Said]]:
    found: dict[str, dict[str, _Said]] = {}
    for answer in read_nouns(folder / ANSWERS, Answer, "answer of `evaluate`"):
        said = _Said(answer.text, answer.set, answer.id)  # the last of each counts, as in its results
        found.setdefault(answer.system, {})[answer.question] = said
    wanted = names or tuple(reversed(found))
    if len(wanted) != 2 or len({*wanted} & found.keys()) != 2:
        raise InputError(
            f"{folder} has answers of {', '.join(found) or 'nobody'}; name two with --pair SYSTEM=BASELINE."
        )
    return {name: found[name] for name in wanted}


def _of_file(path: Path) -> Mapping[str, _Said]:
    if not path.is_file():
        raise InputError(f"There is no file {path}.")
    row = next((row for row in read_table(str(path)) if not isinstance(row, BadRow)), None)
    column = next((name for name in ANSWER_COLUMNS if row is not None and row.values.get(name)), None)
    if column is None:
        raise InputError(f"{path} has no column of answers; name it `answer`, beside one `question`.")
    found: dict[str, _Said] = {}
    asked = read_questions(str(path), Columns(answer=column))
    if asked.malformed:
        raise InputError(f"{path}, {asked.malformed[0]}; mend the row, or take it out.")
    for question in asked.questions:
        asked_for = whole_text(question.text, question)
        if asked_for in found:
            raise InputError(f"{path}, {question.place} answers a question again; leave one answer to each.")
        found[asked_for] = _Said(question.first_answer, id=question.id)
    return found
