"""`monopolylogue step`: one scene, stopped before every node."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from cli.complaint import complain, interruptible
from cli.options import OUTPUT, AnyModel, option
from cli.options.own import Staging
from cli.output import check_writable
from cli.question import Answer, read_answer, read_question
from cli.views.console import plain_console
from scene.errors import InputError
from scene.folding import FoldingTable
from scene.text import one_line

EPILOG = """\
[bold]Examples[/]

Step through a scene; the keys are at the bottom of the screen:
  monopolylogue step "May I read my son's diary?"

Go on another day:
  monopolylogue step --list
  monopolylogue step --resume 3fb1

Sessions are files in MONOPOLYLOGUE_SESSIONS, or else in the user's data folder."""

SESSION = "The session"

SHOWN_CHARS = 200
"""How much of a question the list shows."""


def step(
    context: typer.Context,
    staging: Staging,
    choice: AnyModel,
    question: Annotated[str | None, typer.Argument(metavar="QUESTION", help="The question.")] = None,
    answer: Answer = None,
    resume: Annotated[str | None, option(SESSION, "Pick a session up, by its id.", metavar="ID")] = None,
    list_: Annotated[bool, option(SESSION, "List the sessions, the latest first.", "--list")] = False,
    out: Annotated[
        Path | None, option(OUTPUT, "Where s saves the record; by default ID.json.", metavar="FILE")
    ] = None,
) -> None:
    """Stop before every node of a scene: look, change something, go back, go on.

    The session is kept after every step, so it can be picked up at any time.
    """
    _check_given(context, question, resume, list_=list_)
    if list_:
        _list()
        return
    asked = None if question is None else read_question(question)
    first_answer = read_answer(answer)
    if out is not None:
        check_writable(out)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise InputError("`step` needs a terminal; `run` plays a scene without one.")
    from graph.session_file import find_session, new_session

    if resume is not None:
        path = find_session(resume)
    else:
        assert asked is not None
        path = new_session(
            asked,
            first_answer,
            staging.settings,
            asdict(choice),
            prompt_folder=staging.prompt_set.folder,
            given=staging.given,
        )
    with interruptible(f"`monopolylogue step --resume {path.stem}` goes on."):
        from cli.work.open_session import step_through

        step_through(path, out)


def _check_given(context: typer.Context, question: str | None, resume: str | None, *, list_: bool) -> None:
    """Refuse what does not go together.

    Raises:
        InputError: Nothing to step through was named, or more than one thing, or a setting of a session.
    """
    if (question is not None) + (resume is not None) + list_ != 1:
        raise InputError("Give a question, or --resume ID, or --list.")
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    if question is None and (extra := sorted(given - {"resume", "list_", "out"})):
        raise InputError(f"A session keeps its own settings; leave --{extra[0].replace('_', '-')} out.")


def _list() -> None:
    from graph.session_file import sessions, sessions_folder

    found, unreadable = sessions()
    if not found and not unreadable:
        typer.echo(one_line(f"There are no sessions in {sessions_folder()}."))
        return
    table = FoldingTable(box=None, pad_edge=False, header_style="dim", expand=True)
    for title in ("Session", "Last changed", "Stands"):
        table.add_column(title, no_wrap=True)
    table.add_column("Question", ratio=1)  # what room the others leave
    for info in found:
        changed, asked = info.changed.astimezone().strftime("%Y-%m-%d %H:%M"), one_line(info.question)
        begun = asked if len(asked) <= SHOWN_CHARS else f"{asked[:SHOWN_CHARS].rstrip()} …"
        table.add_row(*(Text(one_line(cell)) for cell in (info.id, changed, info.stands, begun)))
    for name in unreadable:
        table.add_row(Text(one_line(name)), "", "unreadable", "")
    plain_console().print(table)
    for reason in unreadable.values():
        complain(reason)
