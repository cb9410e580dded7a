"""`monopolylogue ask`: the same questions to several models, their answers side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.complaint import interrupted
from cli.options import MODEL, OUTPUT, EngineName, ModelChoice
from cli.views.console import plain_console
from scene.errors import InputError
from scene.state import check_question

if TYPE_CHECKING:
    from finetune.check import Answer

EPILOG = """\
[bold]Example[/]

What the last five of the project's own questions are answered, before and after:
  monopolylogue ask finetune/questions.jsonl --last 5 --model default --model adapters/monday"""


def ask(
    questions: Annotated[
        Path, typer.Argument(metavar="FILE", help="Questions: a JSON Lines file, or text, one a line.")
    ],
    model: Annotated[
        list[str], typer.Option(help="A model to ask; give it once for each.", rich_help_panel=MODEL)
    ],
    last: Annotated[int | None, typer.Option(min=1, help="Only so many, from the end.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Room for an answer, in tokens.")] = 384,
    engine: EngineName = "auto",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a question.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Ask several models the same questions, without a scene.

    Answers are greedy, so that a difference is one of the models. They are
    loaded one after the other.
    """
    asked = read_questions(questions)[-last if last else None :]
    try:
        answers = [_answers(name, engine, asked, max_tokens) for name in model]
    except KeyboardInterrupt:
        raise interrupted("Nothing was kept; run the command again.") from None
    console = plain_console()
    for number, question in enumerate(asked):
        said = {name: own[number] for name, own in zip(model, answers, strict=True)}
        if as_json:
            texts = {name: answer.text for name, answer in said.items()}
            typer.echo(json.dumps({"question": question, "answers": texts}, ensure_ascii=False))
            continue
        table = Table(title=question, title_justify="left", title_style="bold", expand=True)
        for name in said:
            table.add_column(name, ratio=1, overflow="fold")
        table.add_row(*(answer.text + ("" if answer.ends else " [...]") for answer in said.values()))
        console.print(table)


def read_questions(path: Path) -> list[str]:
    """The questions of a file, checked.

    Raises:
        InputError: It can't be read, or a line holds no question.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read as a text file; give a file of questions.") from error
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            question = json.loads(line)["question"] if path.suffix == ".jsonl" else line
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number} is no JSON object with a question.") from error
        found.append(check_question(str(question)))
    if not found:
        raise InputError(f"{path} holds no question.")
    return found


def _answers(name: str, engine: str, questions: list[str], max_tokens: int) -> list[Answer]:
    # Here, since it takes a second to import: --help and a mistyped option come without it.
    import asyncio

    from cli.work.loading import loaded
    from finetune.check import ask as ask_engine

    choice = ModelChoice(
        model=name, engine=engine, dtype="auto", device="auto", base_url=None, structured=True
    )
    with loaded(choice, plain_console(stderr=True)) as one:
        return asyncio.run(ask_engine(one, tuple(questions), max_tokens))
