"""Comparing what followed from one answer with what followed from another, among the same people.

Two consequences are the same when they fall on somebody in common and are told in nearly the same words,
whatever led to them and however severe they are. No model is asked: asked for pairs, a small one finds them
everywhere. How much harm went does not depend on the pairs, since harms are counted on either side.
"""

from collections.abc import Sequence

from rapidfuzz import fuzz

from scene.nouns import HARMS, Consequence, EventId

SAME_PERCENT = 75.0
"""Likeness from which on two consequences for the same person are one: edit distance over sorted words.

Pairs in scenes of the default model read as one thing from about there, and as two below 70.
"""


def harms(consequences: Sequence[Consequence]) -> int:
    """How many consequences cost somebody dearly or hurt somebody."""
    return sum(consequence.severity in HARMS for consequence in consequences)


def share_removed(before: Sequence[Consequence], after: Sequence[Consequence]) -> float | None:
    """Share of the harms that went: 1 when none is left, negative when there are more; None without any.

    Harms are counted and not weighted: that a severe one is worth so many moderate ones nobody has measured.
    """
    had = harms(before)
    return round((had - harms(after)) / had, 3) if had else None


def same(before: Sequence[Consequence], after: Sequence[Consequence]) -> list[tuple[EventId, EventId]]:
    """The consequences in both by their events, each once and the likest first, in the order of `before`."""
    likeness = sorted(
        (-_likeness(one, other), i, j)
        for i, one in enumerate(before)
        for j, other in enumerate(after)
        if set(one.roles) & set(other.roles)
    )
    pairs: dict[int, int] = {}
    for negative, i, j in likeness:
        if -negative >= SAME_PERCENT and i not in pairs and j not in pairs.values():
            pairs[i] = j
    return [(before[i].event, after[pairs[i]].event) for i in sorted(pairs)]


def _likeness(one: Consequence, other: Consequence) -> float:
    return fuzz.token_sort_ratio(one.text.casefold(), other.text.casefold())
