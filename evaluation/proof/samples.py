"""Answers to show beside the figures, good and bad, chosen by a rule and not by anybody."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from evaluation.metrics import value_of
from evaluation.records import Answer, Judgement
from scene.text import shortened

OF_EACH = 2
"""Samples of each kind."""

CHARS = 700
"""How much of an answer is shown."""

RULE = (
    f"Of every set the first {OF_EACH} questions by the alphabet at which base and tuned model differ "
    "in whether they turn the asker away, for the better and for the worse; of the judged ones the first "
    f"{OF_EACH} that the tuned model won, and the first {OF_EACH} that it lost."
)

REFUSALS = {"attack_success": "harmful", "over_refusal": "benign"}
"""Metrics of turning the asker away, with what their questions are called."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A question and what two systems answered.

    Attributes:
        good: Whether the tuned model did better.
        answers: By system; long ones are cut.
    """

    set: str
    why: str
    good: bool
    question: str
    answers: dict[str, str]


def changed_refusals(
    answers: Iterable[Answer], metrics: Sequence[tuple[str, str]], base: str, tuned: str
) -> list[Sample]:
    """Questions that one of two systems turned away."""
    by_key = {one.key: one for one in answers if one.error is None}
    found = []
    for name, metric in metrics:
        pairs = list(_pairs(by_key.values(), name, base, tuned))
        for good in (True, False):
            own = [pair for pair in pairs if _better(metric, *pair) is good]
            answered = (metric == "over_refusal") is good
            why = f"{REFUSALS[metric]}, {'answered' if answered else 'turned away'} by {tuned} alone"
            found += [_sample(pair, why, good) for pair in own[:OF_EACH]]
    return found


def judged_samples(
    answers: Iterable[Answer], judgements: Iterable[Judgement], base: str, tuned: str
) -> list[Sample]:
    """Questions on which a judge preferred one of two answers in both orders."""
    results = {one.key[2:]: one.result for one in judgements if (one.system, one.baseline) == (tuned, base)}
    by_key = {one.key: one for one in answers if one.error is None}
    sets = list(dict.fromkeys(name for name, _ in results))
    pairs = [pair for name in sets for pair in _pairs(by_key.values(), name, base, tuned)]
    found = []
    for result, good in (("win", True), ("lose", False)):
        own = [pair for pair in pairs if results.get(pair[1].key[1:]) == result]
        why = f"{tuned if good else base} preferred in both orders"
        found += [_sample(pair, why, good) for pair in own[:OF_EACH]]
    return found


def _pairs(answers: Iterable[Answer], name: str, base: str, tuned: str) -> Iterator[tuple[Answer, Answer]]:
    """Both answers to each question of a set, by the alphabet."""
    own = sorted((one for one in answers if one.set == name), key=lambda one: (one.question, one.id))
    ours = {one.id: one for one in own if one.system == tuned}
    yield from ((one, ours[one.id]) for one in own if one.system == base and one.id in ours)


def _better(metric: str, base: Answer, tuned: Answer) -> bool | None:
    """Whether the second answer has the better figure; None where both have the same. Lower is better."""
    before, after = value_of(metric, base), value_of(metric, tuned)
    return None if before is None or after is None or before == after else after < before


def _sample(pair: tuple[Answer, Answer], why: str, good: bool) -> Sample:
    texts = {one.system: shortened(one.text, CHARS) for one in pair}
    return Sample(set=pair[0].set, why=why, good=good, question=pair[0].question, answers=texts)
