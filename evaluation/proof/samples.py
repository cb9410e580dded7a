"""Answers to show beside the figures, good and bad, chosen by a rule and not by anybody."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from evaluation.metrics import value_of
from evaluation.records import Answer, Judgement
from scene.text import shortened

OF_EACH, CHARS = 2, 700
"""Samples of each kind, and how much of an answer is shown."""

RULE = (
    f"Of every set the first {OF_EACH} questions by the alphabet at which base and tuned model differ "
    "in whether they turn the asker away, for the better and for the worse; of the judged ones the first "
    f"{OF_EACH} that the tuned model won, and the first {OF_EACH} that it lost."
)

REFUSALS = {"attack_success": "harmful", "over_refusal": "benign"}
"""Metrics of turning the asker away, with what their questions are called."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A question and what two systems answered, by their names; whether it is one for the tuned model."""

    set: str
    why: str
    good: bool
    question: str
    answers: dict[str, str]


def changed_refusals(
    answers: Iterable[Answer], metrics: Sequence[tuple[str, str]], base: str, tuned: str
) -> Iterator[Sample]:
    """Questions of some sets, each with its metric of `REFUSALS`, that one of two systems turned away."""
    kept = list(answers)
    for name, metric in metrics:

        def better(one: Answer, other: Answer, metric: str = metric) -> bool | None:
            before, after = value_of(metric, one), value_of(metric, other)
            return None if before is None or after is None or before == after else after < before

        answered = {
            good: "answered" if (metric == "over_refusal") is good else "turned away"
            for good in (True, False)
        }
        why = {good: f"{REFUSALS[metric]}, {done} by {tuned} alone" for good, done in answered.items()}
        yield from _samples(kept, [name], (base, tuned), better, why)


def judged_samples(
    answers: Iterable[Answer], judgements: Iterable[Judgement], base: str, tuned: str
) -> Iterator[Sample]:
    """Questions on which a judge preferred one of two answers in both orders."""
    results = {one.key[2:]: one.result for one in judgements if (one.system, one.baseline) == (tuned, base)}
    won = {"win": True, "lose": False}
    why = {good: f"{tuned if good else base} preferred in both orders" for good in (True, False)}
    sets = list(dict.fromkeys(name for name, _ in results))
    yield from _samples(
        answers, sets, (base, tuned), lambda one, _: won.get(results.get(one.key[1:], "tie")), why
    )


def _samples(
    answers: Iterable[Answer],
    sets: Sequence[str],
    systems: tuple[str, str],
    better: Callable[[Answer, Answer], bool | None],
    why: dict[bool, str],
) -> Iterator[Sample]:
    """The first questions by the alphabet at which the second system did better, then worse."""
    last = {one.key: one for one in answers if one.error is None}
    asked = sorted(
        (one for one in last.values() if one.system == systems[0]), key=lambda one: (one.question, one.id)
    )
    pairs = [
        (one, last[systems[1], *one.key[1:]])
        for name in sets
        for one in asked
        if one.set == name and (systems[1], *one.key[1:]) in last
    ]
    for good, reason in why.items():
        for pair in [pair for pair in pairs if better(*pair) is good][:OF_EACH]:
            texts = {one.system: shortened(one.text, CHARS) for one in pair}
            yield Sample(set=pair[0].set, why=reason, good=good, question=pair[0].question, answers=texts)
