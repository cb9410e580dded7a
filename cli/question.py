"""The question and the first answer that a command is given."""

import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer

from cli.options import SCENE, option
from scene.conversation import Conversation, read_messages
from scene.errors import InputError
from scene.state import check_answer, check_question
from scene.tables.chats import parsed
from scene.tables.dialect import encoding_in
from scene.thought import heard

MAX_STDIN_BYTES = 1_000_000
"""How much of standard input is read: enough to tell that it is too long, whatever its characters."""

_QUESTION = typer.Argument(metavar="QUESTION", help="The question; - reads it from standard input.")
Question = Annotated[str, _QUESTION]
QuestionOrMessages = Annotated[str | None, _QUESTION]
Messages = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A conversation instead that ends with the question, as JSON messages; - reads standard input.",
    ),
]
Answer = Annotated[str | None, option(SCENE, "Rehearse this first answer, not the model's.", metavar="TEXT")]


def check_encoding(words: Sequence[str]) -> None:
    """Refuse a command line that is not UTF-8: bytes would be missing from what is asked.

    Raises:
        InputError: A word of it is not.
    """
    for before, word in pairwise(("", *words)):
        shown = re.sub("[\udc80-\udcff]", lambda found: f"\\x{ord(found[0]) - 0xDC00:02x}", word)
        if shown != word:
            of = f" of {before}" if before.startswith("--") and not word.startswith("--") else ""
            raise InputError(f"The argument '{shown}'{of} is not UTF-8 text; convert it first.")


def read_question(question: str) -> str:
    """The question, cleaned; `-` stands for standard input.

    Raises:
        InputError: It is empty, too long, or not UTF-8.
    """
    return check_question(_stdin_text() if question == "-" else question)


def read_asked(question: str | None, messages: Path | None) -> Conversation:
    """The question, with what was said before it where it is the last of some messages.

    Raises:
        InputError: Neither or both were given, or what was given can't be used.
    """
    if question is not None and messages is not None:
        raise InputError("Give the question or --messages, which has it as its last message; not both.")
    if messages is not None:
        return _conversation(messages)
    if question is None:
        raise InputError("There is no question; give one, or a conversation with --messages FILE.")
    return Conversation(read_question(question))


def _conversation(path: Path) -> Conversation:
    """The conversation of a file: a list of messages, or an object that has one, as a request does."""
    given = parsed(_text_of(path).strip())
    system = given.get("system") if isinstance(given, dict) else None
    messages = given.get("messages") if isinstance(given, dict) else given
    if not isinstance(messages, list) or not isinstance(system or "", str):
        raise InputError(
            f'{path} holds no messages; write them as JSON: [{{"role": "user", "content": "..."}}].'
        )
    try:
        found = read_messages(messages, system or "")
        return replace(found, question=check_question(found.question))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _text_of(path: Path) -> str:
    if str(path) == "-":
        return _stdin_text()
    try:
        with path.open("rb") as file:  # once: it may be a pipe
            data = file.read(MAX_STDIN_BYTES + 1)
        if len(data) > MAX_STDIN_BYTES:
            raise InputError(f"{path} holds more than {MAX_STDIN_BYTES:,} bytes; give one conversation.")
        return data.decode(encoding_in(data[:4096]))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text; convert it first.") from error
    except OSError as error:
        raise InputError(f"{path} can't be read ({error.strerror or error}).") from error


def read_answer(answer: str | None) -> str:
    """The first answer, cleaned; empty where none was given.

    Raises:
        InputError: One was given, and nothing is in it, or it is too long.
    """
    first_answer = heard(check_answer(answer or "")).text.strip()
    if answer is not None and not first_answer:
        raise InputError("The answer given with --answer is empty; give some text, or leave --answer out.")
    return first_answer


def _stdin_text() -> str:
    """All of standard input.

    Raises:
        InputError: It is far too long, or not UTF-8.
    """
    if sys.stdin.isatty():
        typer.echo("Type the question; Ctrl-D on a line of its own ends it.", err=True)
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        raise InputError(f"Standard input holds more than {MAX_STDIN_BYTES:,} bytes; give one question.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"Standard input is not UTF-8 text (byte {error.start:,}); convert it first."
        ) from error
