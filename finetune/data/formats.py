"""The shapes in which rows are written: those that TRL and most other trainers read as they are."""

from collections.abc import Callable, Sequence
from typing import Any

from finetune.data.rows import Part, Row
from scene.record import Message

Chat = list[dict[str, str]]

PREFERENCES = ("preference", "sharegpt-preference")
"""Formats of two answers."""

SHAREGPT_ROLES = {"system": "system", "user": "human", "assistant": "gpt"}


def _chat(messages: Sequence[Message]) -> Chat:
    return [{"role": message.role, "content": message.content} for message in messages]


def _answer(text: str) -> Chat:
    return [{"role": "assistant", "content": text}]


def _messages(row: Row) -> dict[str, Any]:
    return {"messages": _chat(row.prompt) + _answer(row.completion)}


def _prompt_completion(row: Row) -> dict[str, Any]:
    return {"prompt": _chat(row.prompt), "completion": _answer(row.completion)}


def _turns(chat: Chat) -> Chat:
    return [{"from": SHAREGPT_ROLES[turn["role"]], "value": turn["content"]} for turn in chat]


def _sharegpt(row: Row) -> dict[str, Any]:
    return {"conversations": _turns(_chat(row.prompt) + _answer(row.completion))}


def _preference(row: Row) -> dict[str, Any]:
    return {
        "prompt": _chat(row.prompt),
        "chosen": _answer(row.completion),
        "rejected": _answer(row.rejected),
    }


def _sharegpt_preference(row: Row) -> dict[str, Any]:
    (chosen,), (rejected,) = _turns(_answer(row.completion)), _turns(_answer(row.rejected))
    return {"conversations": _turns(_chat(row.prompt)), "chosen": chosen, "rejected": rejected}


FORMATS: dict[str, Callable[[Row], dict[str, Any]]] = {
    "prompt-completion": _prompt_completion,
    "messages": _messages,
    "sharegpt": _sharegpt,
    "preference": _preference,
    "sharegpt-preference": _sharegpt_preference,
}


def parts_for(name: str) -> tuple[Part, ...]:
    """Parts of a mix that a format can hold."""
    return ("preference",) if name in PREFERENCES else ("aligned", "helpful", "simulation")


def formatted(row: Row, name: str) -> dict[str, Any]:
    """A row as it is written: the columns of its format, and those that say where it comes from."""
    return {**FORMATS[name](row), "part": row.part, "scene": row.scene, "call": row.call}
