"""Questions in pairs: beside each one its twin, in nearly the same words and with the opposite harm.

Whom an act hurts is not told by how a question sounds. Twins are rehearsed like any other question, and what
followed decides which of a pair is done and which declined; see `finetune.data.pairs`.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from finetune.data.content_words import content_words, shared, words
from finetune.data.scenes import TWIN
from inference.control_tokens import parted
from nodes.asking import Asker
from nodes.foresight import risk_of
from nodes.prose import Prose
from nodes.together import together
from scene.errors import PromptTooLongError, ReplyError
from scene.harm import HARMFUL, request_of
from scene.nouns import Kind, ModelIdentity, Noun
from scene.tables.questions import Question
from scene.text import is_repetition, sentences

PROMPT = "twins/twin"

REASONS = {
    "reply": "the model gave no usable reply",
    "long": "it is much longer than its question, or that is too long to be changed by a word or two",
    "turns": "turns of a chat are spelled in it",
    "equal": "it is the question again",
    "far": "it has too few words of its question",
    "same": "the model takes both for harmful, or both for harmless",
    "known": "the file has a question in nearly these words",
}
"""Every reason for which a question has no twin."""

DRAFTS = 4
"""Twins that are written side by side, each warmer than the one before. Of those that are twins, the one is
kept whose risk is furthest from the question's, to the wanted side."""

MOST_WORDS = 120
"""Longest question that can be changed by a word or two."""

FAR = 0.25
"""Share of the content words of a question and its twin that both must have. In the shortest questions a verb
and what it is done to are all there is, and one of the two changes."""

OPPOSITE: dict[Kind, Kind] = {"harmful": "helpful", "helpful": "harmful"}

TURNS: dict[Kind, str] = {
    "helpful": "doing what is asked would hurt nobody",
    "harmful": "doing what is asked would hurt somebody",
}
"""What a twin of each kind is to be, in the words of the prompt."""


class Written(Noun):
    """What came of one question.

    Attributes:
        given: The question's kind, where its set says so.
        kind: Its kind, else as the model sees it.
        twin: Its twin; where there is none the draft that came closest, or empty.
        reason: Why that is none, one of `REASONS`, or empty.
        seed: What the drafts' seeds follow from.
        temperature: Of the first draft.
        prompts: Digest of the prompt.
    """

    id: str
    question: str
    given: Kind | None
    kind: Kind
    twin: str
    reason: str
    seed: int
    temperature: float
    prompts: str
    model: ModelIdentity


@dataclass
class TwinSet:
    """Pairs, as rows of a question file, and why the other questions have no twin."""

    rows: list[dict[str, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)


async def write_twins(
    questions: Sequence[Question],
    asker: Asker,
    keep: Callable[[Question, Kind, str, str], None],
    at_once: int,
) -> None:
    """Write a twin for each question, so many at once.

    `keep` is given each question once it is finished, with its kind, its twin and why there is none.

    Raises:
        EngineError: The engine failed.
    """
    room = asyncio.Semaphore(at_once)

    async def one(question: Question) -> None:
        async with room:
            keep(question, *await write_twin(asker, question))

    await together(map(one, questions))


async def write_twin(asker: Asker, question: Question) -> tuple[Kind, str, str]:
    """The question's kind, its twin or what else was written, and the name of why that is none."""
    kind = question.kind or "harmful"
    if len(words(question.text)) > MOST_WORDS:
        return kind, "", "long"
    try:
        risk = await risk_of(asker, question.text, "")
        kind = question.kind or ("harmful" if risk >= HARMFUL else "helpful")
        written = [one for one in await _drafts(asker, question.text, OPPOSITE[kind]) if one]
        faults = {draft: fault(draft, question.text) for draft in written}
        twins = [draft for draft, reason in faults.items() if not reason]
        risks = await together(risk_of(asker, twin, "") for twin in twins)
    except ReplyError:
        return kind, "", "reply"
    except PromptTooLongError:
        return kind, "", "long"
    if not twins:
        return kind, *next(iter(faults.items()), ("", "reply"))
    reached = min(risks) if kind == "harmful" else max(risks)
    same = request_of(reached) == request_of(risk) != "doubtful"
    return kind, twins[risks.index(reached)], "same" if same else ""


async def _drafts(asker: Asker, question: str, kind: Kind) -> list[str]:
    """Some twins, each begun with the first word of the question; empty where no reply could be used."""
    begun = re.match(r"[A-Za-z']+ ", question)
    shape = Prose(max(1, sum(1 for _ in sentences(question))), begun[0] if begun else "")
    values = {"question": question, "turn": TURNS[kind]}

    async def draft(number: int) -> str:
        try:
            return await asker.again(number).text(PROMPT, values, shape, own_words=False, room=2)
        except ReplyError:
            return ""

    return await together(map(draft, range(DRAFTS)))


def fault(twin: str, question: str) -> str:
    """Name of the reason why a text is no twin of a question; empty where it is one."""
    own, other = words(twin), words(question)
    if parted(twin) != twin:
        return "turns"
    if own == other:
        return "equal"
    if len(own) > 1.5 * len(other) + 3:
        return "long"
    return "far" if shared(content_words(twin), content_words(question)) < FAR else ""


def twin_set(questions: Sequence[Question], written: Mapping[str, Written]) -> TwinSet:
    """The pairs in the order of the questions; a question whose id has nothing written is passed over."""
    texts = [question.text for question in questions]
    found = TwinSet()
    for question in questions:
        if (one := written.get(question.id)) is None:
            continue
        others = (text for text in texts if text != question.text)
        known = not one.reason and any(is_repetition(one.twin, text) for text in others)
        if reason := "known" if known else one.reason:
            found.dropped[reason] += 1
            continue
        texts.append(one.twin)
        more = {"split": question.split, "style": question.style}
        rest = {name: value for name, value in more.items() if value}
        found.rows += (
            {"id": question.id, "kind": one.kind, **rest, "question": question.text},
            {"id": question.id + TWIN, "kind": OPPOSITE[one.kind], **rest, "question": one.twin},
        )
    return found
