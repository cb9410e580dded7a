"""`monopolylogue explain`: the scene behind a row of an export."""

from pathlib import Path
from typing import Annotated

import typer

from cli.output import print_line
from cli.views.console import plain_console
from cli.views.display import SceneView
from cli.views.replay_view import ReplayView
from scene.conversation import whole_text
from scene.errors import InputError
from scene.export import MIN_DIGITS, Export, Failure
from scene.text import clean, one_line

EPILOG = """\
[bold]Examples[/]

  monopolylogue explain scenes 943
  monopolylogue explain scenes 3fb1
  monopolylogue explain scenes @12 --json | jq -r .critique"""

SHOWN = 5
"""How many rows are named when several are meant."""


def explain(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that `export` wrote.")],
    row: Annotated[
        str,
        typer.Argument(
            metavar="ROW",
            help="A question's id, a scene's id or its beginning, or @N for line N of scenes.jsonl.",
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the record as one line of JSON alone.")
    ] = False,
) -> None:
    """Show the scene behind a row of an export, as `run` shows one."""
    export = Export(folder)
    found = export.find(row)
    if not found:
        raise InputError(
            f"{folder} has no row {row}; give a question's id, a scene's id or its first {MIN_DIGITS} digits "
            "and more, or @N for line N of scenes.jsonl."
        )
    if len(found) > 1:
        ids = ", ".join(record.id for record in found[:SHOWN])
        raise InputError(f"{row} could be any of {len(found):,} rows ({ids}); give more of a scene's id.")
    (record,) = found
    if as_json:
        print_line(record.model_dump_json())
        return
    console = plain_console()
    if isinstance(record, Failure):
        console.print(failure_text(record))
    else:
        SceneView(console).record(record)
        if record.replay is not None or record.replay_failure is not None:
            ReplayView(console).record(record)


def failure_text(failure: Failure) -> str:
    """What became of a scene that failed."""
    where = [failure.node or ""]
    if failure.role is not None:
        where.append(f"role {failure.role}")
    if failure.turn is not None:
        where.append(f"turn {failure.turn}")
    at = f" at {one_line(', '.join(where))}" if failure.node else ""
    again = f", attempt {failure.attempt + 1}" if failure.attempt else ""
    return (
        f"Question {one_line(failure.question_id)}: {clean(whole_text(failure.question, failure))}\n"
        f"Its scene failed{at} after {failure.seconds:g} s (seed {failure.seed}{again}).\n"
        f"{one_line(failure.error)}: {one_line(failure.reason)}"
    )
