"""Training and validation rows, apart by question: no question, and no near copy of one, is in both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from finetune.data.near import Near


def representatives(questions: Iterable[str], threshold: float) -> dict[str, str]:
    """For each question the earliest one that it nearly repeats, itself included."""
    near = Near(threshold)
    return {question: near.first(question) for question in dict.fromkeys(questions)}


def validation_questions(
    questions: Iterable[str],
    share: float,
    seed: int,
    *,
    threshold: float,
    together: Iterable[tuple[str, str]] = (),
) -> frozenset[str]:
    """The questions whose rows are kept for validation.

    Args:
        questions: All questions, repeats allowed, in any fixed order.
        share: Share of the questions to take, from 0 to below 1. Of two or more at least one is taken when it
            is above 0, and at least one is left.
        seed: Decides which.
        threshold: Similarity in percent from which on two questions stay together.
        together: Questions that do so however they read.
    """
    first = representatives(questions, threshold)
    for one, other in together:
        if {one, other} <= first.keys() and (joined := first[one]) != (left := first[other]):
            first = {question: joined if group == left else group for question, group in first.items()}
    groups = sorted(set(first.values()), key=lambda question: rank(question, seed))
    wanted = min(max(1, round(share * len(groups))), len(groups) - 1) if share > 0 and groups else 0
    chosen = set(groups[:wanted])
    return frozenset(question for question, group in first.items() if group in chosen)


def rank(text: str, seed: int) -> str:
    """Sorts texts at random, and the same texts the same way whatever others there are."""
    return hashlib.sha256(f"{seed}|{text}".encode()).hexdigest()
