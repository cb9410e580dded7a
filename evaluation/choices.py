"""The choices of a question, of which one is right, as the tables of several benchmarks say them."""

from collections.abc import Mapping
from string import ascii_uppercase
from typing import Any

from scene.errors import InputError
from scene.tables.chats import parsed

CHOICES, ANSWERS = "choices", ("answer", "answerKey", "label")
"""Columns of the choices and, the first that is there, of the right one."""


def choices_of(cells: Mapping[str, Any], place: str) -> tuple[tuple[str, ...], int]:
    """The choices of a row, and the place of the right one.

    The choices are a list, or `text` and `label` as in ARC. The right one is told by its place from 0, as a
    number, or by its label, letter or text.

    Raises:
        InputError: There are not two choices, or it is not clear which one is right.
    """
    told = parsed(cells.get(CHOICES))
    texts, labels = (told.get("text"), told.get("label")) if isinstance(told, Mapping) else (told, None)
    if not isinstance(texts, list) or len(texts) < 2 or not all(str(text).strip() for text in texts):
        raise InputError(f"{place}: {CHOICES} must be a list of two texts or more.")
    choices = tuple(str(text).strip() for text in texts)
    letters = [str(label).strip() for label in labels] if isinstance(labels, list) else [*ascii_uppercase]
    answer = next((cells[name] for name in ANSWERS if cells.get(name) is not None), None)
    if isinstance(answer, int | float):
        right = {int(answer)} & {*range(len(choices))}
    else:
        said = str(answer or "").strip()
        right = {number for number, text in enumerate(choices) if text == said}
        right |= {number for number, letter in enumerate(letters[: len(choices)]) if letter == said}
        if labels is None and said.isdecimal() and int(said) < len(choices):
            right.add(int(said))
    if len(right) != 1:
        raise InputError(f"{place}: {answer!r} does not tell which of the {CHOICES} is right.")
    return choices, right.pop()
