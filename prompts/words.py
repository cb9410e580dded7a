"""The words of a prompt set that the code puts into prompts itself, or waits for in replies."""

import re
from string import Formatter
from typing import Annotated, Self, get_args

import regex
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from scene.nouns import Severity, Stance
from scene.text import printable

_ATOM = re.compile(r"\\.|\[(?:\\.|[^\]\\])*\]")
_GROUP = re.compile(r"\((?:\?:)?[^()]*\)")
_UNENFORCEABLE = re.compile(r"\((?!\?:)|[\^$]|[*+?}][*+?]|\\[A-Za-tv-z0-9]")
"""What decoding can't be held to: look-arounds, groups that capture, anchors, names of classes, greed."""


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text or not text.strip():
        raise ValueError("must be text on one line")
    if printable(text) != text:
        raise ValueError("holds characters that nobody sees")
    return text


def _form(pattern: str) -> str:
    """A part of the regular expression that decoding is held to."""
    _pattern(pattern)
    escapes = "".join(re.findall(r"\\.", pattern))
    if found := _UNENFORCEABLE.search(_ATOM.sub("x", pattern) + escapes):
        raise ValueError(f"holds {found[0]}, which decoding can't be held to")
    flat = _ATOM.sub("x", pattern)
    while (outer := _GROUP.sub("x", flat)) != flat:
        flat = outer
    if "|" in flat:
        raise ValueError("needs brackets around what | stands between: (?:one|other)")
    return pattern


def _pattern(pattern: str) -> str:
    try:
        found = regex.compile(pattern, regex.IGNORECASE)
    except regex.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if found.search(""):
        raise ValueError("fits every text")
    return pattern


def _marks(text: str) -> str:
    if not regex.fullmatch(r"(?V1)[\p{P}--[\[\]\\^\-<>{}()|*#\"]]+", text):
        raise ValueError("must be marks that end a sentence")
    return text


def _fields(*names: str) -> AfterValidator:
    """Text with exactly these places to fill."""

    def check(text: str) -> str:
        try:
            found = [field for _, field, spec, conversion in Formatter().parse(text) if field is not None]
        except ValueError as error:
            raise ValueError(f"has a brace that is no place to fill: {error}") from error
        if sorted(found) != sorted(names):
            wanted = ", ".join(f"{{{name}}}" for name in names) or "no place to fill"
            raise ValueError(f"must have {wanted}, and no other place to fill")
        return text

    return AfterValidator(check)


Line = Annotated[str, Field(strict=True), AfterValidator(_one_line)]
Form = Annotated[str, Field(strict=True), AfterValidator(_form)]
Pattern = Annotated[str, Field(strict=True), AfterValidator(_pattern)]
Marks = Annotated[str, Field(strict=True), AfterValidator(_marks)]
Label = Annotated[str, Field(strict=True, pattern=r"^[\w' -]+$"), AfterValidator(_one_line)]
Tag = Annotated[str, Field(strict=True, pattern=r"^[^\W\d]\w*$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Forms(_Part):
    """Regular expressions of what a reply is held to."""

    capital: Form
    name: Form
    traits: Form
    position: Form
    step: Form
    reason: Form
    place: Form


class ShapeWords(_Part):
    """The shape of a reply in words."""

    sentence: Annotated[Line, _fields()]
    sentences: Annotated[Line, _fields("most")]
    begins: Annotated[Line, _fields("words")]
    ends: Annotated[Line, _fields("words")]
    line: Annotated[Line, _fields()]
    lines: Annotated[Line, _fields("count")]
    choice: Annotated[Line, _fields("choices")]


class Speakers(_Part):
    """Who said what before a question."""

    system: Line
    user: Line
    assistant: Line


class Words(_Part):
    """The file `words.yaml` of a prompt set, which says what each of them is for."""

    forms: Forms
    stop: Annotated[Marks, Field(max_length=1)]
    stops: Marks
    blank: Annotated[str, Field(strict=True, pattern=r"^ ?$")]
    tags: dict[str, Tag]
    situation: Line
    act: Line
    help: Line
    speakers: Speakers
    parts: Annotated[tuple[Label, ...], Field(min_length=2)]
    yes: Label
    no: Label
    nobody: Label
    first: Line
    second: Line
    stances: dict[Stance, Line]
    effects: dict[Severity, Line]
    touched: Annotated[tuple[Label, ...], Field(min_length=1)]
    helps: Line
    declines: Line
    granted: Line
    nothing_happened: Line
    nothing_noticed: Line
    no_harm: Line
    no_answer: Line
    said_again: Annotated[Line, _fields("event")]
    shapes: ShapeWords
    filler: tuple[Line, ...]
    articles: tuple[Line, ...]
    nobodies: tuple[Line, ...]
    either: tuple[Line, ...]
    common: tuple[Line, ...]
    itself: tuple[Pattern, ...]
    unseen: tuple[Pattern, ...]
    refusals: tuple[Pattern, ...]

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        for name, wanted in (("stances", get_args(Stance)), ("effects", get_args(Severity))):
            if missing := sorted(set(wanted) - getattr(self, name).keys()):
                raise ValueError(f"{name} lacks {', '.join(missing)}")
        if self.stop not in self.stops:
            raise ValueError(f"stop is {self.stop!r}, which is not among stops")
        for what, choices in (
            ("parts", self.parts),
            ("yes, no", (self.yes, self.no)),
            ("first, second", (self.first, self.second)),
            ("helps, declines", (self.helps, self.declines)),
            ("stances", tuple(self.stances.values())),
            ("effects", tuple(self.effects.values())),
            ("touched", self.touched),
            ("tags", tuple(self.tags.values())),
        ):
            if len({choice.strip(" .").casefold() for choice in choices}) < len(choices):
                raise ValueError(f"two of {what} are the same")
        return self
