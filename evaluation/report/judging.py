"""What a judge showed on planted pairs, in sentences."""

from collections.abc import Iterator

from evaluation.planted import Judging, Told
from evaluation.report.tables import interval, number


def judging_said(judging: Judging) -> str:
    """Whether the judge can compare, and where wins and losses are therefore from."""
    return " ".join(_sentences(judging))


def _sentences(judging: Judging) -> Iterator[str]:
    compared, graded = judging.told_by("comparison"), judging.told_by("grades")
    if compared is not None:
        yield f"Comparing both answers in both orders, the judge {_decided(compared)}."
        if compared.first_place is not None:
            yield f"It chose what stood first in {interval(compared.first_place, '%')} % of its decisions."
    if judging.used == "comparison":
        yield "That is better than chance: wins and losses are its comparisons."
        return
    yield "That is not shown to be better than chance: wins and losses are by its grades of each answer."
    if graded is not None and graded.margins is not None:
        alike = " and ".join(f"{number(margin, '')} of {about}" for about, margin in graded.margins.items())
        yield f"By these, which are alike where at most {alike} apart (of 1), it {_decided(graded)}."
    if graded is None or not graded.shown:
        yield "These are not shown to be better than chance either, and say nothing."


def _decided(told: Told) -> str:
    """What became of the planted pairs."""
    right, wrong = sum(told.right.values()), sum(told.wrong.values())
    about = ", ".join(
        f"{count} to {told.wrong[name]} of those about {name}" for name, count in told.right.items()
    )
    return (
        f"took the better one in {right} of {told.pairs} planted pairs and the worse one in {wrong} "
        f"({about}): {interval(told.accuracy, '%')} % with ties as half"
    )
