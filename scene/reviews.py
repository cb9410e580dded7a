"""What a person decided about rows to learn from, as the page of a review lets them download it."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from scene.nouns import Noun
from scene.tables.nouns import read_nouns
from scene.text import printable

Decision = Literal["keep", "drop", "edit"]

Key = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]


class Review(Noun):
    """A decision about a row, which is named by its `review_key`."""

    row: Key
    decision: Decision
    text: str = ""
    scene: str = ""
    part: str = ""

    @field_validator("text")
    @classmethod
    def _clean(cls, text: str) -> str:
        return printable(text).strip()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.decision == "edit") != bool(self.text):
            raise ValueError("an edit has the new text, and nothing else has one")
        return self


def review_key(scene: str, asked: str, answer: str) -> str:
    """16 hex digits that stand for an answer in its place: a decision about another one is void.

    The two rows that a second answer gives, to learn it and to prefer it, have the same. What was asked is
    the last message before it.
    """
    return hashlib.sha256(json.dumps([scene, asked, answer]).encode()).hexdigest()[:16]


def read_reviews(paths: Iterable[Path]) -> dict[str, Review]:
    """The decisions of some files by row; of two about the same row the later one counts.

    Raises:
        InputError: There is no such file, or a line is no decision.
    """
    return {one.row: one for path in paths for one in read_nouns(path, Review, "decision about a row")}
