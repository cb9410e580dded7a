"""Reading a data set to train on: whichever format it is in, prompts and answers come out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from finetune.training import Method
from inference.engine import ChatMessage
from scene.errors import InputError
from scene.tables.data_sets import load_data_set

COLUMNS: dict[Method, tuple[tuple[str, ...], ...]] = {
    "sft": (("messages",), ("prompt", "completion"), ("conversations",)),
    "dpo": (("prompt", "chosen", "rejected"),),
}
"""Columns of the formats that each method learns from."""

SPLITS = ("train", "validation")

_ROLES: dict[str, Literal["system", "user", "assistant"]] = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
}


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt, the answer to learn, and for DPO the one to avoid.

    Attributes:
        prompt: Messages to answer.
        answer: The answer to learn.
        rejected: The answer to avoid.
        part: Part of the mix, where the data set names it. For accounts alone: it is no part of `digest`.
    """

    prompt: tuple[ChatMessage, ...]
    answer: str
    rejected: str | None = None
    part: str = field(default="", repr=False)


def read_examples(data: str, method: Method) -> dict[str, list[Example]]:
    """The examples of a data set by split, `train` and, where there is one, `validation`.

    Args:
        data: A folder that `monopolylogue dataset` wrote, a JSON Lines or Parquet file, or a hub id.
        method: What it is to be used for.

    Raises:
        InputError: It can't be loaded, or is in none of the formats that the method takes.
    """
    splits = _load(data)
    found: dict[str, list[Example]] = {}
    for name in SPLITS:
        if name not in splits:
            continue
        rows = splits[name]
        columns = next((c for c in COLUMNS[method] if set(c) <= set(rows.column_names)), None)
        if columns is None:
            wanted = " or ".join(" and ".join(c) for c in COLUMNS[method])
            raise InputError(
                f"{data} has the columns {', '.join(rows.column_names)}; {method} takes one with {wanted}."
            )
        found[name] = [_example(row, columns, f"{data}, {name} row {n}") for n, row in enumerate(rows)]
    if not found.get("train"):
        raise InputError(f"{data} has no train rows, so there is nothing to learn from.")
    return found


def digest(examples: Mapping[str, Sequence[Example]]) -> str:
    """12 hex digits that change when any row does, wherever the data set lies."""
    return hashlib.sha256(repr(sorted(examples.items())).encode()).hexdigest()[:12]


def _load(data: str) -> Mapping[str, Any]:
    import datasets
    import pyarrow

    path = Path(data)
    bars = datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        if path.is_file():
            form = "parquet" if path.suffix == ".parquet" else "json"
            loaded = load_data_set(form, data_files={"train": str(path)})
        else:
            loaded = load_data_set(data)
    except (datasets.exceptions.DatasetsError, pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise InputError(f"{data} can't be loaded as a data set ({reason}).") from error
    finally:
        if not bars:
            datasets.enable_progress_bars()
    splits: Mapping[str, Any] = loaded
    return splits


def _example(row: Mapping[str, Any], columns: tuple[str, ...], where: str) -> Example:
    parts = [_chat(row[column], where) for column in columns]
    if len(parts) == 1:
        parts = [parts[0][:-1], parts[0][-1:]]
    prompt, *answers = parts
    if not prompt or prompt[-1].role != "user":
        raise InputError(f"{where}: the prompt does not end with what a user says.")
    if any(len(answer) != 1 or answer[0].role != "assistant" for answer in answers):
        raise InputError(f"{where}: the answer is not one message of the assistant.")
    part = row.get("part", row.get("kind"))  # as the column was called at first
    return Example(
        prompt,
        answers[0][0].content,
        answers[1][0].content if len(answers) > 1 else None,
        part if isinstance(part, str) else "",
    )


def _chat(turns: Any, where: str) -> tuple[ChatMessage, ...]:  # noqa: ANN401  # whatever stands in a cell
    """Messages of a cell: a list of roles and contents, or of ShareGPT's turns."""
    if not isinstance(turns, list):
        raise InputError(f"{where}: a chat is a list of messages with role and content.")
    messages = []
    for turn in turns:
        role = _ROLES.get(turn.get("role", turn.get("from")))
        content = turn.get("content", turn.get("value"))
        if role is None or not isinstance(content, str):
            raise InputError(f"{where}: a message has no known role, or its content is no text.")
        messages.append(ChatMessage(role, content))
    return tuple(messages)
