"""Who is in a scene because somebody said so: a YAML file of people, all of them or some."""

import hashlib
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import regex
from pydantic import ValidationError

from scene.errors import InputError
from scene.nouns import Noun, Role, RoleId, Text, role_number
from scene.origin import SHOWN_DIGITS
from scene.strict_yaml import NO_YAML, fault_of, loaded
from scene.text import ends_whole, printable

MAX_PEOPLE = 8
"""How many there may be beside the asker."""

NAME_CHARS, SENTENCE_CHARS = 60, 300
"""How long a name may be, and what somebody is like or wants."""

FORM = "a list under `people:`, each with a name, traits and a position"

_NAME = regex.compile(r"(?=.*\p{L})[\p{L}\p{M}\p{N} .'’()&/-]+")
_ID = regex.compile(r"r[0-9]+")


class Given(Noun):
    """What of a scene is given rather than imagined.

    Attributes:
        situation: The life behind the question; empty where that is imagined.
        cast: People, by the id that says whose place they take: `r0` is the asker.
    """

    situation: str = ""
    cast: tuple[Role, ...] = ()

    @property
    def digest(self) -> str | None:
        """Tells it from others; None where nothing is given."""
        if self == IMAGINED:
            return None
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:SHOWN_DIGITS]

    @property
    def channels(self) -> dict[str, Any]:
        """What a scene starts from beside its question; nothing where all is imagined."""
        channels = {"situation": self.situation, "cast": list(self.cast)}
        return {name: one for name, one in channels.items() if one}

    def among(self, cast: Iterable[Role]) -> tuple[RoleId, ...]:
        """Who of a cast was given; the place may be another one where fewer were cast."""
        names = {role.name for role in self.cast}
        return tuple(role.id for role in cast if role.name in names)


IMAGINED = Given()
"""Nothing is given."""


class _Person(Noun):
    part: Text | None = None
    name: Text
    traits: Text
    position: Text


class _File(Noun):
    situation: str = ""
    people: tuple[_Person, ...] = ()


def read_cast(path: Path, parts: Sequence[str], people: int) -> Given:
    """The people of a file. One without a part takes the first place beside the asker that is free.

    Parts are what people stand for, the asker first; over again for larger casts.

    Raises:
        InputError: It can't be read, or holds something else; the sentence names the file.
    """
    try:
        found = _File.model_validate(_yaml(path))
        given = Given(situation=found.situation, cast=_placed(found.people, parts, people))
        check_given(given.cast, people, given.situation)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(str(part + 1) if isinstance(part, int) else part for part in fault["loc"])
        raise InputError(f"{path}: {where or 'the file'}: {fault['msg']}; it holds {FORM}.") from error
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if given == IMAGINED:
        raise InputError(f"{path} gives nobody; write {FORM}.")
    return given


def check_given(cast: Iterable[Role], people: int, situation: str = "") -> None:
    """Refuse people who can't be played together.

    Raises:
        InputError: There are too many, two are the same, or a text is none that may stand in a prompt.
    """
    names: set[str] = set()
    ids: set[str] = set()
    for role in cast:
        name = unicodedata.normalize("NFKC", role.name).casefold()
        if role.id in ids or name in names:
            raise InputError(f"{role.name!r} is cast twice, or in the place of somebody else.")
        names.add(name)
        ids.add(role.id)
        if role_number(role.id) > people:
            raise InputError(
                f"There is no place for {role.name!r} among {people} people beside the asker; "
                f"raise `roles`, which may be up to {MAX_PEOPLE}."
            )
        if len(role.name) > NAME_CHARS or not _NAME.fullmatch(role.name) or _ID.fullmatch(role.name):
            raise InputError(
                f"{role.name[:NAME_CHARS]!r} is no name; give up to {NAME_CHARS} letters, digits, blanks."
            )
        for what, text in (("traits", role.traits), ("position", role.position)):
            _check_text(f"The {what} of {role.name!r}", text)
    if situation:
        _check_text("The situation", situation, 4 * SENTENCE_CHARS)


def _check_text(what: str, text: str, most: int = SENTENCE_CHARS) -> None:
    if len(text) > most:
        raise InputError(f"{what}: {len(text):,} characters are too many; at most {most:,} are accepted.")
    if "\n" in text or "\t" in text or printable(text) != text:
        raise InputError(f"{what} must be text on one line, without characters that nobody sees.")
    if "<" in text or ">" in text:
        raise InputError(f"{what} must not have angle brackets, which would be taken for tags.")
    if not text.strip() or not ends_whole(text):
        raise InputError(f"{what} must be a whole sentence.")


def _yaml(path: Path) -> Any:  # noqa: ANN401  # what is in the file
    try:
        found = loaded(path.read_text(encoding="utf-8-sig"))
    except (OSError, *NO_YAML) as error:
        raise InputError(f"it {fault_of(error)}.") from error
    if not isinstance(found, dict):
        raise InputError(f"it holds no people; write {FORM}.")
    return found


def places_of(parts: Sequence[str], people: int) -> list[str]:
    """What the asker and so many people stand for; over again for larger casts."""
    asker, *others = parts
    return [asker, *(others[number % len(others)] for number in range(people))]


def _placed(found: Sequence[_Person], parts: Sequence[str], people: int) -> tuple[Role, ...]:
    places = places_of(parts, max(people, len(found)))
    taken: dict[int, _Person] = {}
    for person in sorted(found, key=lambda one: one.part is None):
        if person.part is not None and person.part not in parts:
            raise InputError(f"{person.part!r} is no part; there are {', '.join(parts)}.")
        fitting = [
            number
            for number, part in enumerate(places)
            if number not in taken and (part == person.part if person.part else number)
        ]
        if not fitting or (person.part and fitting[0] > people):
            raise InputError(
                f"There is no place left for {person.name!r}; raise `roles`, or leave its part out."
            )
        taken[fitting[0]] = person
    return tuple(
        Role(id=f"r{number}", name=person.name, traits=person.traits, position=person.position)
        for number, person in sorted(taken.items())
    )
