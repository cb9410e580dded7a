"""Reading a data set to train on: whichever format it is in, prompts and answers come out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from finetune.training import Method
from inference.engine import ChatMessage
from scene.errors import InputError
from scene.tables.chats import (
    Role,
    UnreadableCellError,
    chat_in,
    content_of,
    parsed,
    role_of,
    system_in,
    text_of,
    with_input,
)
from scene.tables.rows import BadRow, read_splits

LABEL = "label"
"""Column that says whether a single answer is to be learned."""

_ANSWERS = (("messages",), ("prompt", "completion"), ("conversations",), ("instruction", "output"))
_PREFERENCES = (
    ("prompt", "chosen", "rejected"),
    ("conversations", "chosen", "rejected"),
    ("instruction", "chosen", "rejected"),
    ("chosen", "rejected"),
)
COLUMNS: dict[Method, tuple[tuple[str, ...], ...]] = {
    "sft": _ANSWERS,
    "dpo": _PREFERENCES,
    "kto": (*_PREFERENCES, *((*columns, LABEL) for columns in _ANSWERS)),
}
"""Columns of the formats that each method learns from, those of the prompt before those of answers."""

SPLITS = ("train", "validation")

_SPEAKERS: dict[str, Role] = {
    "prompt": "user",
    "instruction": "user",
    "completion": "assistant",
    "output": "assistant",
    "chosen": "assistant",
    "rejected": "assistant",
}
"""Who says a plain text, by its column; the other columns hold chats."""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt, and the answer to learn, the one to avoid, or both.

    One of the answers is None for KTO alone. Part, scene and name (what `monopolylogue dataset` calls the
    row, or its place) are for accounts, and no part of `digest`.
    """

    prompt: tuple[ChatMessage, ...]
    answer: str | None
    rejected: str | None = None
    part: str = field(default="", repr=False)
    scene: str = field(default="", repr=False)
    name: str = field(default="", repr=False)


def read_examples(data: str, method: Method, subset: str | None = None) -> dict[str, list[Example]]:
    """The examples of a data set by split, `train` and, where there is one, `validation`.

    The data set is a folder that `monopolylogue dataset` wrote, a file, or a hub id; see
    `scene.tables.rows.read_splits`.

    Raises:
        InputError: It can't be loaded, or holds a row in none of the formats that the method takes.
    """
    splits = {name or "train": rows for name, rows in read_splits(data, subset=subset).items()}
    found: dict[str, list[Example]] = {}
    for name in SPLITS:
        for row in splits.get(name, ()):
            if isinstance(row, BadRow):
                raise InputError(f"{data}, {row}.")
            example = example_of(row.values, method, f"{data}, {row.place}")
            found.setdefault(name, []).append(example if example.name else replace(example, name=row.place))
    if not found.get("train"):
        raise InputError(
            f"{data} has no train rows, so there is nothing to learn from; its splits: {', '.join(splits)}."
        )
    return found


def digest(examples: Mapping[str, Sequence[Example]]) -> str:
    """12 hex digits that change when any row does, wherever the data set lies."""
    return hashlib.sha256(repr(sorted(examples.items())).encode()).hexdigest()[:12]


def example_of(row: Mapping[str, Any], method: Method, where: str) -> Example:
    """The example that a row is.

    Raises:
        InputError: It is in none of the formats that the method takes.
    """
    cells = {name: cell for name, cell in row.items() if cell is not None}  # tables fill gaps with nulls
    columns = next((c for c in COLUMNS[method] if set(c) <= cells.keys()), None)
    if columns is None:
        wanted = " or ".join(" and ".join(c) for c in COLUMNS[method])
        raise InputError(
            f"{where} has the columns {', '.join(cells) or 'none'}; {method} takes one with {wanted}."
        )
    if "instruction" in columns and parsed(cells.get("history")):
        raise InputError(f"{where} has a history, which is not read; write it and the rest as messages.")
    learned = _label(cells[LABEL], where) if LABEL in columns else True
    columns = tuple(column for column in columns if column != LABEL)
    chats = [_chat(cells, column, f"{where}, column {column!r}") for column in columns]
    asked = chats.pop(0) if len(chats) > 1 and _SPEAKERS.get(columns[0]) != "assistant" else ()
    begun, answers = [chat[:-1] for chat in chats], [chat[-1:] for chat in chats]
    if begun[0] != begun[-1]:
        raise InputError(f"{where}: chosen and rejected differ before their last message, the answer.")
    if not asked and not begun[0] and len(answers) > 1:
        raise InputError(f"{where} has no prompt; add a column prompt, or write its answers as whole chats.")
    prompt = _system(cells, _joined(asked, begun[0], where), where)
    if not prompt or prompt[-1].role != "user" or not prompt[-1].content.strip():
        raise InputError(f"{where}: the prompt does not end with what a user says.")
    if any(len(answer) != 1 or answer[0].role != "assistant" for answer in answers):
        raise InputError(f"{where}: the answer is not one message of the assistant; end the chat with it.")
    first, *others = (answer[0].content for answer in answers)
    if learned and not first.strip():
        raise InputError(f"{where}: the answer to learn is empty.")
    part, scene, call = row.get("part", row.get("kind")), row.get("scene"), row.get("call")  # kind: at first
    part = part if isinstance(part, str) else ""
    scene = scene if part and isinstance(scene, str) else ""
    return Example(
        prompt,
        first if learned else None,
        next(iter(others), None) if learned else first,
        part,
        scene,
        f"{part}-{scene}" + ("" if call is None else f"-{call}") if scene else "",
    )


def _label(cell: Any, where: str) -> bool:  # noqa: ANN401  # whatever stands in a cell
    """Whether an answer is to be learned; tables have words and numbers for it too."""
    labels = {"true": True, "1": True, "false": False, "0": False}
    try:
        return labels[str(cell).strip().lower()]
    except KeyError:
        raise InputError(f"{where}: the label is {cell!r}; write true or false.") from None


def _joined(
    asked: tuple[ChatMessage, ...], begun: tuple[ChatMessage, ...], where: str
) -> tuple[ChatMessage, ...]:
    """The prompt: what its column says, or the beginning of whole chats, where these say it again."""
    if not any(message.role == "user" for message in begun) or not asked or asked[-1].role != "user":
        return asked + begun
    if asked[-1] not in begun:
        raise InputError(f"{where}: the prompt is not in the chats of its answers; leave one of them out.")
    return begun


def _system(cells: Mapping[str, Any], prompt: tuple[ChatMessage, ...], where: str) -> tuple[ChatMessage, ...]:
    """The prompt after the system message that ShareGPT and Alpaca have in a column of its own."""
    if any(one.role == "system" for one in prompt):
        return prompt
    try:
        text = system_in(cells, ("system",))
    except UnreadableCellError as error:
        raise InputError(f"{where} {error}.") from error
    return (ChatMessage("system", text), *prompt) if text else prompt


def _chat(cells: Mapping[str, Any], column: str, where: str) -> tuple[ChatMessage, ...]:
    """Messages of a cell, or its plain text as the one message that its column stands for."""
    speaker = _SPEAKERS.get(column)
    try:
        chat = chat_in(cells[column], always=speaker is None)
        if chat is None and speaker is not None:
            text = text_of(cells[column])
            return (ChatMessage(speaker, with_input(text, cells) if column == "instruction" else text),)
    except UnreadableCellError as error:
        raise InputError(f"{where} {error}.") from error
    if not chat:
        raise InputError(f"{where} holds no messages; write a list of messages with role and content.")
    messages = tuple(
        _message(turn, f"{where}, message {number}") for number, turn in enumerate(chat, start=1)
    )
    if chat[-1].get("weight") == 0 or chat[-1].get("train") is False:  # OpenAI's and Axolotl's
        raise InputError(f"{where}: its last message is marked as not to be learned; leave the row out.")
    return messages


def _message(turn: Any, where: str) -> ChatMessage:  # noqa: ANN401  # whatever stands in a list
    role = role_of(turn)
    if role is None:
        raise InputError(f"{where} has no known role; write role (system, user or assistant) and content.")
    try:
        content = content_of(turn)
        text = text_of(content)
    except UnreadableCellError as error:
        raise InputError(f"{where} {error}.") from error
    if content is None or turn.get("tool_calls"):
        raise InputError(
            f"{where} holds {'calls of tools' if turn.get('tool_calls') else 'no text'}; leave the row out."
        )
    return ChatMessage(role, text)
