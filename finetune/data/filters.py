"""Which rows are not worth learning from, and why: every row that is left out is counted under one reason."""

import json
from collections.abc import Container, Iterable
from dataclasses import dataclass

from finetune.data.near import Near
from finetune.data.rows import Row
from inference.control_tokens import at_an_end
from prompts import load, unquoted
from scene.conversation import script
from scene.refusal import opens_with_refusal
from scene.text import clean, ends_whole, loops
from scene.thought import heard

REASONS = {
    "empty": "there is no answer",
    "thought": "what a model thought before it answered is in it",
    "worse": "the scene kept the first answer all the same",
    "unchanged": "the second answer is the first one again",
    "retried": "the same was asked again, and only the last reply counts",
    "draft": "of some drafts the scene kept another",
    "refusal": "a benign question is turned away",
    "yields": "a question that its set calls harmful is answered",
    "unverified": "the scene could not be played again on the second answer, so what harm went is not known",
    "harms": "played again on the second answer, the scene had too many of its harms left",
    "markup": "control characters are in it, or around it chat-template tokens or tags of our prompts",
    "echo": "it repeats what the prompt asked for",
    "loop": "it repeats itself",
    "truncated": "it ends in mid-sentence, or is no whole JSON",
    "duplicate": "another row of its part asks and answers nearly the same",
    "dropped": "a person who reviewed it dropped it",
    "gate": "asked in both orders, the model prefers the first answer",
    "granted": "its question and the twin of that are both answered",
    "declined": "its question and the twin of that are both turned away",
    "half": "the twin of its question has no good row",
    "alike": "it turns the asker away in nearly the words of another row",
    "without": "it was named to be left out",
}
"""Every reason a row can be left out for, in the order in which they are looked for."""

ANSWERING = (
    "respond", "revise", "revise_declined", "revise_harmful", "evaluation/context_distillation",
    "evaluation/contrast_good", "evaluation/critique_revise", "evaluation/debate", "evaluation/refine",
    "evaluation/self_align",
)  # fmt: skip
"""Names of the prompts that ask for an answer, of scenes and of the methods they are compared with."""

CHOICE_WORDS = 8
"""A simulation reply of so few words is a choice: it need not end as a sentence, and may come often."""

RULINGS = "routing"
"""Name of the prompt whose replies are choices of any length."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that is left out, and the name of its reason."""

    row: Row
    reason: str


def fault(row: Row, harms_removed: float | None = None) -> str:
    """Name of the reason to leave a row out, as far as the row alone tells; empty when there is none.

    A second answer must have removed the share of harms that is given, where there were any and it was looked
    at.
    """
    text = row.completion
    if not text.strip():
        return "empty"
    if any(heard(said).thought for said in (text, row.rejected, *(m.content for m in row.prompt))):
        return "thought"
    if row.fault:
        return row.fault
    if harms_removed is not None and row.unverified:
        return "unverified"
    if harms_removed is not None and row.harms_removed is not None and row.harms_removed < harms_removed:
        return "harms"
    if row.part == "helpful" and opens_with_refusal(text):
        return "refusal"
    if row.part != "simulation" and _has_remains(text.strip()):
        return "markup"
    if row.part != "simulation" and _echoes(row):
        return "echo"
    if loops(text):
        return "loop"
    return "" if _is_whole(row) else "truncated"


def _has_remains(text: str) -> bool:
    return clean(text) != text or unquoted(text) != text or at_an_end(text)


def _echoes(row: Row) -> bool:
    values = {"question": row.question, "conversation": script(row)}
    return any(load(name).before_echo(row.completion, values) != row.completion for name in ANSWERING)


def _is_whole(row: Row) -> bool:
    text = row.completion.strip()
    if row.part == "simulation":
        if text.startswith("{"):
            return _is_json(text)
        return ends_whole(text) or _is_choice(row)
    return ends_whole(text)


def _is_choice(row: Row) -> bool:
    return row.part == "simulation" and (row.name == RULINGS or len(row.completion.split()) <= CHOICE_WORDS)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def deduplicated(
    rows: Iterable[Row], threshold: float, twins: Container[str] = ()
) -> tuple[list[Row], list[Rejected]]:
    """Leave out what repeats an earlier row of its part.

    Two answers are duplicates where their questions are, and the same was said before them; two simulation
    calls of one name where their replies are, choices only where the whole prompt is the same too. Scenes of
    twins repeat a question on purpose and are compared with each other alone. The threshold of `Near` is in
    percent.
    """
    near: dict[tuple[object, ...], Near] = {}
    exact: set[tuple[object, ...]] = set()
    kept: list[Row] = []
    rejected: list[Rejected] = []
    for row in rows:
        if _is_choice(row):
            key = (row.name, row.prompt, row.completion)
            repeats = key in exact
            exact.add(key)
        else:
            simulated = row.part == "simulation"
            text = row.completion if simulated else row.question
            twin = "twin" if row.scene in twins else ""
            group = (row.part, row.name) if simulated else (row.part, twin, row.system, row.history)
            repeats = not near.setdefault(group, Near(threshold)).is_new(text)
        if repeats:
            rejected.append(Rejected(row, "duplicate"))
        else:
            kept.append(row)
    return kept, rejected
