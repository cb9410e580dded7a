"""Stop strings, for engines whose library leaves them in the text."""

from __future__ import annotations


def before_stop(text: str, stops: tuple[str, ...]) -> str:
    """Text up to the first stop string."""
    cuts = [index for stop in stops if (index := text.find(stop)) >= 0]
    return text[: min(cuts)] if cuts else text
