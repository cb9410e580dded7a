"""The question and the first answer that a command is given."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

from cli.options import SCENE
from scene.errors import InputError
from scene.state import check_answer, check_question

MAX_STDIN_BYTES = 1_000_000
"""How much of standard input is read: enough to tell that it is too long, whatever its characters."""

Question = Annotated[
    str, typer.Argument(metavar="QUESTION", help="The question; - reads it from standard input.")
]
Answer = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Rehearse this first answer, not the model's.", rich_help_panel=SCENE),
]


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


def read_answer(answer: str | None) -> str:
    """The first answer, cleaned; empty where none was given.

    Raises:
        InputError: One was given, and nothing is in it, or it is too long.
    """
    first_answer = check_answer(answer or "")
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
