"""Chats as other tools write them: messages or ShareGPT's turns, in a cell or as JSON text in one."""

import ast
import json
import re
from collections.abc import Iterable, Mapping
from itertools import takewhile
from math import isnan
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
}
"""Who speaks, by the names that OpenAI, ShareGPT, Cohere and Gemini give them."""

CHAT_COLUMNS = ("turns", "messages", "conversations", "conversation", "contents")
"""Columns that hold chats, never plain text."""

_CONTENTS = ("content", "value", "parts")
_TOOLS = re.compile(r"(?:tool|function|ipython|observation|environment)", re.IGNORECASE)
_TEXT_PARTS = ("text", "input_text", "output_text", None)
_CHAT_TEXT = re.compile(r"""\s*\[\s*\{\s*["'](?:role|from|content|value)["']\s*:\s*["']""")
_TRANSCRIPT = re.compile(r"\s*Human:.*?^[^\S\n]*Assistant:", re.DOTALL | re.MULTILINE)
_SPEAKER = re.compile(r"^[^\S\n]*(Human|Assistant):", re.MULTILINE)
_MORE_TEXT = re.compile(r"\]\s*[^\s\]}][^\]]*\Z")


class UnreadableCellError(Exception):
    """A cell holds no text and no chat. Says what is wrong with it, as in "is not text"."""


def parsed(cell: Any) -> Any:  # noqa: ANN401  # whatever stands in a cell
    """The list or object that a text stands for, or the text itself.

    That is JSON, what Python prints (pandas does), or a dialogue of "Human:" and "Assistant:" as HH has them.
    """
    if not isinstance(cell, str):
        return cell
    if _TRANSCRIPT.match(cell):
        _, *said = _SPEAKER.split(cell.rstrip())
        turns = zip(said[::2], said[1::2], strict=True)
        whole = ((who, text.strip()) for who, text in turns)
        return [{"from": who, "value": text} for who, text in whole if text]  # one that is to come is empty
    if not cell.lstrip().startswith(("[", "{")):
        return cell
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        if _CHAT_TEXT.match(cell) is None:
            return cell
    try:
        return ast.literal_eval(cell.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return cell


def chat_in(cell: Any, *, always: bool = False) -> list[Any] | None:  # noqa: ANN401
    """The messages of a cell as they stand; None where it is not `always` a chat, and holds something else.

    Raises:
        UnreadableCellError: It is meant as a chat, and can't be read as one.
    """
    found = parsed(cell)
    if isinstance(found, Mapping):
        found = found.get("messages") or [found]
    if isinstance(found, list) and (any(map(_is_message, found)) or (always and found)):
        return found
    broken = isinstance(found, str) and _CHAT_TEXT.match(found) and not _MORE_TEXT.search(found)
    if broken or (always and isinstance(cell, str)):
        raise UnreadableCellError("can't be read as a chat; write a list of messages with role and content")
    return None


def said_in(cell: Any, *, always: bool = False) -> list[tuple[Role, str]] | str:  # noqa: ANN401
    """Who says what in a chat, or the text of a cell that is none; see `chat_in`.

    What tools say is left out.

    Raises:
        UnreadableCellError: Nobody can say.
    """
    chat = chat_in(cell, always=always)
    found = cell if chat is None else chat
    if chat is None or not any(map(_is_message, chat)):
        return text_of(found[0] if chat and isinstance(chat[0], str) else found)
    said: list[tuple[Role, str]] = []
    for message in chat:
        if role := role_of(message):
            said.append((role, text_of(content_of(message))))
        elif not (isinstance(message, Mapping) and _TOOLS.match(str(_speaker(message)))):
            raise UnreadableCellError("has a message of nobody known; give each a role and content")
    return said


def answer_in(cell: Any) -> str:  # noqa: ANN401
    """What the assistant answers to the last that the user says in a chat, or the text of a cell.

    Raises:
        UnreadableCellError: Nobody can say.
    """
    said = said_in(cell)
    if isinstance(said, str):
        return said
    after = list(takewhile(lambda one: one[0] == "assistant", reversed(said)))
    if not after:
        raise UnreadableCellError("is a chat that ends without an answer of the assistant")
    return "\n\n".join(text for _, text in reversed(after))


def role_of(message: Any) -> Role | None:  # noqa: ANN401
    """Who says a message, if that is known."""
    name = _speaker(message) if isinstance(message, Mapping) else None
    return ROLES.get(name.strip().casefold()) if isinstance(name, str) else None


def content_of(message: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """What a message holds under any of the usual names; what a table fills gaps with is nothing."""
    return next((message[name] for name in _CONTENTS if message.get(name) is not None), None)


def text_of(content: Any) -> str:  # noqa: ANN401
    """The text of a message or cell; parts of it stand in lines of their own.

    Raises:
        UnreadableCellError: It is none, has parts that are none, or is several texts.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and len(content) > 1 and all(isinstance(part, str) for part in content):
        raise UnreadableCellError("is a list of several texts; write each in a row of its own")
    return "\n".join(map(_part, content if isinstance(content, list) and content else [content]))


def with_input(instruction: str, cells: Mapping[str, Any]) -> str:
    """An instruction and what Alpaca's rows have for it to work on in a column `input`.

    Raises:
        UnreadableCellError: That is no text.
    """
    try:
        return "\n\n".join(filter(str.strip, (instruction, text_of(_filled(cells.get("input"))))))
    except UnreadableCellError as error:
        raise UnreadableCellError(f"has an input beside it that {error}") from error


def system_in(cells: Mapping[str, Any], names: Iterable[str]) -> str:
    """The system prompt that stands beside a chat or an instruction, in the first column that has one.

    Raises:
        UnreadableCellError: It is no text.
    """
    for name in names:
        cell = parsed(cells.get(name))
        try:
            text = text_of(content_of(cell) if isinstance(cell, Mapping) else _filled(cell))
        except UnreadableCellError as error:
            raise UnreadableCellError(f"comes with a {name} that {error}") from error
        if text.strip():
            return text
    return ""


def _filled(cell: Any) -> Any:  # noqa: ANN401
    """A cell, or None where pandas filled a gap with a number that is none."""
    return None if isinstance(cell, float) and isnan(cell) else cell


def _part(part: Any) -> str:  # noqa: ANN401
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise UnreadableCellError("is not text")
    kind, text = part.get("type"), part.get("text")
    if kind not in _TEXT_PARTS:
        raise UnreadableCellError(f"has a part of the type {str(kind)[:40]!r}, where only text can be read")
    if not isinstance(text, str):
        raise UnreadableCellError("is not text")
    return text


def _is_message(turn: Any) -> bool:  # noqa: ANN401
    return isinstance(turn, Mapping) and bool(_speaker(turn))


def _speaker(message: Mapping[str, Any]) -> Any:  # noqa: ANN401
    return message.get("role") or message.get("from")
