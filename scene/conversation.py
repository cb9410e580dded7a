"""The conversation that a question ends: read from messages, and as text to be quoted."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Literal, Protocol

from scene.errors import InputError
from scene.nouns import Turn
from scene.state import check_history, check_system
from scene.tables.chats import Role, UnreadableCellError, content_of, role_of, text_of
from scene.text import shortened
from scene.thought import heard

SPEAKERS = {"system": "System prompt", "user": "User", "assistant": "Assistant"}
"""Who speaks in a script."""

_LEFT_OUT = "[...]"
_SHARES = 4
"""Of a conversation that is shortened no turn takes more than one in so many parts."""


class InContext(Protocol):
    """What has a question that may come with what was said before: a state, a record, a row."""

    @property
    def history(self) -> Sequence[Turn]:
        """The turns before the question, oldest first."""

    @property
    def system(self) -> str:
        """The system prompt, or empty."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A question and what was said before it, which is checked."""

    question: str
    history: tuple[Turn, ...] = ()
    system: str = ""


def read_messages(messages: Iterable[Any], system: str = "") -> Conversation:
    """The conversation of messages, as OpenAI's, ShareGPT's and Gemini's chats have them.

    The last is the question. A system prompt beside those that they begin with is put before them.

    Raises:
        InputError: One is no message, has no text, or is of somebody else than the system, the user and the
            assistant; or they make no conversation.
    """
    return conversation_of([_said(n, message) for n, message in enumerate(messages, start=1)], system)


def conversation_of(said: Sequence[tuple[Role, str]], system: str = "") -> Conversation:
    """The conversation that ends with a question.

    What somebody says several times in a row is one turn, and what the system says at the beginning is one
    prompt, which one given beside it is put before. What an answer was thought over with is left out.

    Raises:
        InputError: The system speaks between the turns, the last one is not the user's, or there is too much
            of something.
    """
    first = [text for role, text in takewhile(lambda one: one[0] == "system", said)]
    turns: list[tuple[Literal["user", "assistant"], str]] = []
    for number, (role, text) in enumerate(said[len(first) :], start=len(first) + 1):
        if role == "system":
            raise InputError(f"Message {number} is a system prompt; it has to stand before the turns.")
        if turns and turns[-1][0] == role:
            text = f"{turns.pop()[1]}\n\n{text}"
        turns.append((role, text))
    if not turns or turns[-1][0] != "user":
        raise InputError("The last message has to be the user's, for it is the question.")
    before = [
        Turn.model_construct(role=role, content=heard(text).text if role == "assistant" else text)
        for role, text in turns[:-1]
    ]
    return Conversation(
        turns[-1][1], tuple(check_history(before)), check_system("\n\n".join(filter(None, (system, *first))))
    )


def said_before(scene: InContext) -> list[tuple[Role, str]]:
    """Who said what before a question, the system first."""
    system: list[tuple[Role, str]] = [("system", scene.system)] if scene.system else []
    return [*system, *((turn.role, turn.content) for turn in scene.history)]


def script(scene: InContext, most: int | None = None, speakers: Mapping[str, str] = SPEAKERS) -> str:
    """What was said before a question, to be quoted; empty where nothing was.

    With `most` it keeps to so many characters, give or take: the newest turns then, each shortened, after the
    system prompt.
    """
    share = None if most is None else most // _SHARES
    opening = [f"{speakers['system']}: {_cut(scene.system, share)}"] if scene.system else []
    left = None if most is None else most - sum(map(len, opening))
    turns: list[str] = []
    for turn in reversed(scene.history):
        line = f"{speakers[turn.role]}: {_cut(turn.content, share)}"
        if left is not None and (left := left - len(line)) < 0:
            turns.append(_LEFT_OUT)
            break
        turns.append(line)
    return "\n\n".join((*opening, *reversed(turns)))


def whole_text(question: str, scene: InContext) -> str:
    """All that a question says: its own text alone where nothing was said before it.

    Questions of the same last words after other ones are not the same.
    """
    return "\n\n".join(filter(None, (script(scene), question)))


def _cut(text: str, most: int | None) -> str:
    return text if most is None else shortened(text, most)


def _said(number: int, message: Any) -> tuple[Role, str]:  # noqa: ANN401  # whatever stands in a list
    role = role_of(message)
    if role is None:
        raise InputError(
            f"Message {number} is of nobody known; give each a role (system, user or assistant) and content."
        )
    try:
        return role, text_of(content_of(message))
    except UnreadableCellError as error:
        raise InputError(f"Message {number} {error}.") from error
