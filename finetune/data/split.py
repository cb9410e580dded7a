"""Training and validation rows, apart by question: no question, and no near copy of one, is in both."""

import hashlib
from collections.abc import Iterable

from finetune.data.near import WORDS, Near


def groups_of(
    questions: Iterable[str], threshold: float, together: Iterable[tuple[str, str]] = ()
) -> list[list[str]]:
    """The questions in groups: what is nearly the same as one of a group is in it, by way of others too.

    The threshold is in percent; see `Near`. Some pairs stay together however they read.
    """
    near = Near(threshold, WORDS)
    group_of: dict[str, list[str]] = {}

    def join(question: str, others: Iterable[str]) -> None:
        own = [] if question in group_of else [question]
        for group in {id(group): group for one in others for group in [group_of[one]]}.values():
            own += group
        group_of.update(dict.fromkeys(own, own))

    for question in dict.fromkeys(questions):
        join(question, near.all(question))
        near.add(question)
    for one, other in together:
        if {one, other} <= group_of.keys():
            join(one, (one, other))
    return list({id(group): group for group in group_of.values()}.values())


def validation_questions(
    questions: Iterable[str],
    share: float,
    seed: int,
    *,
    threshold: float,
    together: Iterable[tuple[str, str]] = (),
) -> frozenset[str]:
    """The questions whose rows are kept for validation: whole groups of near copies, see `groups_of`.

    They are a share of all, from 0 to below 1. Of two groups or more at least one is taken where that is
    above 0, and at least one is left.
    """
    groups = sorted(groups_of(questions, threshold, together), key=lambda group: rank(min(group), seed))
    wanted = min(max(1, round(share * len(groups))), len(groups) - 1) if share > 0 and groups else 0
    return frozenset(question for group in groups[:wanted] for question in group)


def rank(text: str, seed: int) -> str:
    """Sorts texts at random, and the same texts the same way whatever others there are."""
    return hashlib.sha256(f"{seed}|{text}".encode()).hexdigest()
