"""The shapes in which rows are written: those that TRL and most other trainers read as they are."""

from typing import Any

from finetune.data.rows import Part, Row

Chat = list[dict[str, str]]

PREFERENCES = ("preference", "sharegpt-preference")
"""Formats of two answers."""

SHAREGPT_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}


FORMATS: dict[str, tuple[str, ...]] = {
    "prompt-completion": ("prompt", "completion"),
    "messages": ("messages",),
    "sharegpt": ("conversations",),
    "preference": ("prompt", "chosen", "rejected"),
    "sharegpt-preference": ("conversations", "chosen", "rejected"),
}
"""The columns of texts in each format."""


def parts_for(name: str) -> tuple[Part, ...]:
    """Parts of a mix that a format can hold."""
    return ("preference",) if name in PREFERENCES else ("aligned", "helpful", "simulation")


def formatted(row: Row, name: str) -> dict[str, Any]:
    """A row as it is written: the columns of its format, and those that say where it comes from."""
    prompt: Chat = [{"role": message.role, "content": message.content} for message in row.prompt]
    answer, rejected = ([{"role": "assistant", "content": text}] for text in (row.completion, row.rejected))
    texts: dict[str, Any] = {
        "prompt": prompt,
        "completion": answer,
        "messages": prompt + answer,
        "conversations": _turns(prompt + answer),
        "chosen": answer,
        "rejected": rejected,
    }
    if name == "sharegpt-preference":  # its answers are turns, not chats
        texts["conversations"] = _turns(prompt)
        (texts["chosen"],), (texts["rejected"],) = _turns(answer), _turns(rejected)
    origin = {"part": row.part, "scene": row.scene, "call": row.call}
    return {column: texts[column] for column in FORMATS[name]} | origin


def _turns(chat: Chat) -> Chat:
    return [{"from": SHAREGPT_ROLES[turn["role"]], "value": turn["content"]} for turn in chat]
