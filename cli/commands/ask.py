"""`monopolylogue ask`: the same questions to several models, their answers side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from cli.complaint import interruptible
from cli.options import (
    MODEL,
    OUTPUT,
    EngineName,
    QuestionColumn,
    QuestionsOrMessages,
    Split,
    Subset,
    model_choice,
    option,
)
from cli.output import print_json
from cli.question import Messages, read_asked
from cli.views.console import plain_console
from scene.conversation import Conversation, said_before, whole_text
from scene.errors import InputError
from scene.folding import FoldingTable
from scene.state import check_question
from scene.tables.questions import Columns, read_questions
from scene.text import clean, one_line

if TYPE_CHECKING:
    from finetune.check import Answer

EPILOG = """\
[bold]Examples[/]

What the last five of the project's own questions are answered, before and after:
  monopolylogue ask finetune/questions.jsonl --last 5 --model default --model adapters/monday

What the next turn of one conversation is:
  monopolylogue ask --messages chat.json --model default --model adapters/monday"""


def ask(
    model: Annotated[list[str], option(MODEL, "A model to ask; give it once for each.")],
    questions: QuestionsOrMessages = None,
    messages: Messages = None,
    question_column: QuestionColumn = None,
    subset: Subset = None,
    split: Split = None,
    last: Annotated[int | None, typer.Option(min=1, help="Only so many, from the end.")] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Room for an answer, in tokens.")] = 384,
    think: Annotated[
        int, typer.Option(min=0, help="Tokens in which a model may think before it answers; 0 for none.")
    ] = 0,
    engine: EngineName = "auto",
    as_json: Annotated[bool, option(OUTPUT, "Print one JSON object a question.", "--json")] = False,
) -> None:
    """Ask several models the same questions, without a scene.

    Answers are greedy, so that a difference is one of the models. They are
    loaded one after the other.
    """
    if (questions is None) == (messages is None):
        raise InputError("Give a file of questions, or one conversation with --messages FILE.")
    asked = (
        [read_asked(None, messages)]
        if questions is None
        else _questions(questions, question_column, subset, split)
    )[-last if last else None :]
    with interruptible("Nothing was kept; run the command again."):
        answers = [answers_of(name, engine, asked, max_tokens, think) for name in model]
    console = plain_console()
    for number, one in enumerate(asked):
        said = {name: own[number] for name, own in zip(model, answers, strict=True)}
        if as_json:
            texts = {name: clean(answer.text) for name, answer in said.items()}
            before = [{"role": role, "content": text} for role, text in said_before(one)]
            line = {"question": one.question, **({"before": before} if before else {}), "answers": texts}
            print_json(line)
            continue
        title = Text(whole_text(one.question, one))
        table = FoldingTable(title=title, title_justify="left", title_style="bold", expand=True)
        for name in said:
            table.add_column(Text(one_line(name)), ratio=1)
        cells = (clean(answer.text) + ("" if answer.ended else " [...]") for answer in said.values())
        table.add_row(*map(Text, cells))
        console.print(table)


def _questions(source: str, column: str | None, subset: str | None, split: str | None) -> list[Conversation]:
    """The questions of a file, all of which must be usable: whoever compares answers counts on each.

    Raises:
        InputError: It can't be read, or a row holds no question.
    """
    found = read_questions(source, Columns(question=column), subset=subset, split=split)
    if found.malformed:
        raise InputError(f"{source}, {found.malformed[0]}; mend the row, or take it out.")
    return [Conversation(check_question(one.text), one.history, one.system) for one in found.questions]


def answers_of(
    name: str, engine: str, questions: Sequence[str | Conversation], max_tokens: int, think: int = 0
) -> list[Answer]:
    """What a model answers; it is loaded and closed here."""
    import asyncio

    from cli.work.loading import loaded
    from finetune.check import ask as ask_engine

    with loaded(model_choice(name, engine), plain_console(stderr=True)) as one:
        return asyncio.run(ask_engine(one, questions, max_tokens, think_tokens=think))
