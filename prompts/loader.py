"""Prompts, filled strictly: a missing or an extra field is an error.

A prompt file is YAML: `system` is a system message or names one in `systems.yaml`, `user` is the message
with a `{field}` for every place to fill, `examples` are turns that come before it, each made from the same
message with the example's own fields and followed by its `reply`. `of` draws fields from a scene in
`examples.yaml`. Values are inserted as they are and never read for fields again. A field whose name is one
of `TAGS` is quoted material: it goes between tags that it can't open or close. What was said before a
question goes before it, between tags of its own, where a value `conversation` is given.

A file that names another one `after` which it comes goes on with that one's conversation, and has the same
system message and examples. These show the whole conversation: `then` lists its later turns, each with the
name of its `prompt`, its fields where it has any of its own, and its `reply`.

A file that `shows` another one gives that one's example replies, each after its bare question.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import regex
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

TAGS = (
    "action", "answer", "consequences", "conversation", "critique", "first", "news", "question", "scene",
    "second", "situation",
)  # fmt: skip
"""Fields that hold material from people and models."""

CONVERSATION = "conversation"
"""What was said before a question: a value that may be given wherever one is shown."""

BRACKET = "\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}"
"""What the angle bracket of a tag of ours becomes in quoted material, and is made a bracket again from."""

_WORD = regex.compile(
    r"(?V1)[\p{Han}\p{Hiragana}\p{Katakana}]|[[\p{L}\p{M}']--[\p{Han}\p{Hiragana}\p{Katakana}]]+"
)
"""A word, or a character of a script that has no blanks between them."""


class Tags:
    """What quoted material stands between, as a prompt set spells it; `names` has every field's tag."""

    def __init__(self, spelled: Mapping[str, str]) -> None:
        self.names = {tag: spelled.get(tag, tag) for tag in TAGS}
        either = "|".join(self.names.values())
        named = rf"(?=\s*+(?:/\s*+)?(?:{either})\b)"
        self._tag = re.compile(f"<{named}", re.IGNORECASE)
        self._quoted_tag = re.compile(f"{BRACKET}{named}", re.IGNORECASE)
        self._opening = re.compile(rf"<({either})>")
        self._closing = re.compile(rf"</({either})>\Z")

    def quote(self, tag: str, text: str) -> str:
        """Text between tags, as material that can't leave them.

        A tag of ours inside it gets another angle bracket, which `unquoted` turns back.
        """
        name = self.names[tag]
        return f"<{name}>\n{self._tag.sub(BRACKET, text)}\n</{name}>"

    def unquoted(self, text: str) -> str:
        """A reply as the answer it holds.

        A model at a loss writes the form of its prompt: a tag of ours around the whole reply is taken off,
        and one at its beginning or end that has no other half. Tags inside are the answer's own; what it took
        over from quoted material has its own bracket back.
        """
        text = text.strip()
        if opening := self._opening.match(text):
            closed = _closed_at(text, opening[1])
            if closed is None:
                text = text[opening.end() :]
            elif closed == len(text):
                text = text[opening.end() : -len(f"</{opening[1]}>")]
        elif (closing := self._closing.search(text)) and f"<{closing[1]}>" not in text:
            text = text[: closing.start()]
        return self._quoted_tag.sub("<", text.strip())


@dataclass(frozen=True, slots=True)
class Example:
    """One example turn: the filled message, the reply to it, and the name of the prompt it is a turn of."""

    user: str
    reply: str
    prompt: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt file.

    Attributes:
        telltale: Words that give away a reply taken from the examples.
        after: Name of the prompt whose conversation this one goes on with, empty for none.
        common: Long words that don't tell where a run of words comes from.
    """

    name: str
    system: str
    user: str
    examples: tuple[Example, ...]
    telltale: frozenset[str] = frozenset()
    after: str = ""
    common: frozenset[str] = frozenset()
    tags: Tags = Tags({})  # noqa: RUF009  # never changes

    def render(
        self, values: Mapping[str, str], *, history: Sequence[tuple[str, str]] = (), examples: bool = True
    ) -> list[BaseMessage]:
        """The messages with every field filled, after those of the same conversation that were sent before.

        Raises:
            ValueError: A field is missing, or a value has no field.
        """
        messages: list[BaseMessage] = [SystemMessage(self.system)] if self.system else []
        given = [(example.user, example.reply) for example in self.examples] if examples else []
        for said, reply in (*given, *history):
            messages += [HumanMessage(said), AIMessage(reply)]
        return [*messages, HumanMessage(self.filled(values))]

    def fixed(self, *, examples: bool = True) -> int:
        """How many of the messages are the same whatever the values are: the first ones."""
        return bool(self.system) + 2 * len(self.examples) * examples

    def filled(self, values: Mapping[str, str]) -> str:
        """The user message with every field filled.

        Raises:
            ValueError: A field is missing, or a value has no field.
        """
        return fill(self.name, self.user, values, self.tags)

    def copied(self, texts: Sequence[str], values: Mapping[str, str]) -> str:
        """What a reply took from an example's reply, or empty. Small models copy when they are at a loss.

        A telltale word counts, a whole text of two words or more, seven words in a row, and three of which
        two have at least five letters, unless the message or its values hold them too. What was
        chosen from a given set is none of the texts to look at.
        """
        own = " ".join((self.user, *values.values())).casefold()
        foreign = self.telltale - set(_words(own))
        own_runs = set(_runs(own, self.common))
        theirs = [text for example in self.examples for text in example.reply.splitlines()]
        whole = {text.casefold() for text in theirs if " " in text and text.casefold() not in own}
        runs = {run for text in theirs for run in _runs(text, self.common)} - own_runs
        for text in texts:
            if text.casefold() in whole:
                return text
            for word in _words(text):
                if word in foreign:
                    return word
            for run in _runs(text, self.common):
                if run in runs:
                    return " ".join(run)
        return ""

    def before_echo(self, text: str, values: Mapping[str, str]) -> str:
        """A reply up to where it begins to repeat what the messages ask for; all of it where it doesn't.

        Seven words in a row count, unless the values hold them too.
        """
        own = {run for value in values.values() for run in _sevens(_words(value))}
        parts = (self.system, *(part for part, *_ in Formatter().parse(self.user)))
        asked = {run for part in parts for run in _sevens(_words(part))} - own
        found = list(_WORD.finditer(text))
        for place, run in enumerate(_sevens([match.group().casefold() for match in found])):
            if run in asked:
                return text[: found[place].start()].rstrip()
        return text


def _closed_at(text: str, tag: str) -> int | None:
    """Where the first element of a text that is one of ours ends; None if it doesn't."""
    depth = 0
    for found in re.finditer(f"<(/?){tag}>", text):
        depth += -1 if found[1] else 1
        if not depth:
            return found.end()
    return None


def fill(name: str, user: str, values: Mapping[str, str | None], tags: Tags) -> str:
    """A message with every field filled.

    Raises:
        ValueError: A field is missing, or a value has no field.
    """
    fields = field_names(user)
    fields |= {CONVERSATION} & values.keys() if "question" in fields else set()
    given = {key for key, value in values.items() if value is not None}
    if given != fields:
        missing = ", ".join(sorted(fields - given)) or "none"
        extra = ", ".join(sorted(given - fields)) or "none"
        raise ValueError(f"prompt {name}: missing fields: {missing}; extra fields: {extra}")
    texts = {key: text for key, text in values.items() if text is not None}
    filled = {key: tags.quote(key, text) if key in TAGS else text for key, text in texts.items()}
    if CONVERSATION in filled:
        filled["question"] = f"{filled[CONVERSATION]}\n\n{filled['question']}"
    return user.format_map(filled)


def field_names(text: str) -> frozenset[str]:
    """Names of the places to fill."""
    return frozenset(field for _, field, _, _ in Formatter().parse(text) if field)


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]


def _sevens(words: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(words[start:] for start in range(7)), strict=False)


def _runs(text: str, common: frozenset[str]) -> Iterator[tuple[str, ...]]:
    """Runs of seven words, and of three with two long ones among them, in small letters."""
    words = _words(text)
    yield from _sevens(words)
    for run in zip(words, words[1:], words[2:], strict=False):
        if sum(len(word) >= 5 and word not in common for word in run) >= 2:
            yield run
