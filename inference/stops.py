"""Stop strings, for engines whose library leaves them in the text."""

from __future__ import annotations


def first_stop(text: str, stops: tuple[str, ...]) -> int | None:
    """Where the first stop string begins in a text; None if there is none."""
    return min((index for stop in stops if stop and (index := text.find(stop)) >= 0), default=None)


def before_stop(text: str, stops: tuple[str, ...]) -> str:
    """Text up to the first stop string."""
    return text[: first_stop(text, stops)]
