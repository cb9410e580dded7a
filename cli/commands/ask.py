"""`monopolylogue ask`: the same questions to several models, their answers side by side."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from cli.complaint import interrupted
from cli.options import MODEL, OUTPUT, EngineName, ModelChoice, Questions
from cli.views.console import plain_console
from scene.errors import InputError
from scene.state import check_question
from scene.tables.questions import read_questions

if TYPE_CHECKING:
    from finetune.check import Answer

EPILOG = """\
[bold]Example[/]

What the last five of the project's own questions are answered, before and after:
  monopolylogue ask finetune/questions.jsonl --last 5 --model default --model adapters/monday"""


def ask(
    questions: Questions,
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
    asked = _read(questions)[-last if last else None :]
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
        table.add_row(*(answer.text + ("" if answer.ended else " [...]") for answer in said.values()))
        console.print(table)


def _read(source: str) -> list[str]:
    """The questions of a file or data set, checked.

    Raises:
        InputError: It can't be read, or a row of it can't be used.
    """
    found = read_questions(source)
    if found.malformed:
        raise InputError(f"{source}, {found.malformed[0]}; mend that row.")
    return [check_question(question.text) for question in found.questions]


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
