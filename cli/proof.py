"""The stages of `make proof` that no subcommand of `monopolylogue` has; run with `python -m cli.proof`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.main import Commands
from scene.errors import InputError
from scene.files import replace_file

app = typer.Typer(cls=Commands, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)


@app.command()
def questions(
    data: Annotated[Path, typer.Argument(help="Folder with the question sets.")],
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl and hh.jsonl.")],
    limit: Annotated[int, typer.Option(min=1, help="Questions to train on.")] = 120,
    evaluated: Annotated[
        list[str] | None, typer.Option(help="A set that is evaluated on; once for each.")
    ] = None,
) -> None:
    """Draw the questions to train on, and hold a part of HH out."""
    from evaluation.training_questions import draw_questions, write_questions

    drawn, held_out = draw_questions(data, evaluated or (), limit)
    write_questions(drawn, out / "train.jsonl")
    write_questions(held_out, out / "hh.jsonl")
    typer.echo(f"{len(drawn):,} questions to train on and {len(held_out):,} held out are in {out}.")


@app.command()
def rows(
    folder: Annotated[Path, typer.Argument(help="Folder that `evaluate` wrote.")],
    system: Annotated[str, typer.Option(help="Whose answers to take.")],
    out: Annotated[Path, typer.Option(help="Folder of the data set.")],
) -> None:
    """Make a data set of a method's answers."""
    from evaluation.rows import write_rows

    written, left_out = write_rows(folder, system, out)
    typer.echo(f"{written:,} rows of {system} are in {out}; {left_out:,} answers were left out.")


@app.command()
def page(
    results: Annotated[Path, typer.Argument(help="The results.json of an evaluation.")],
    judged: Annotated[Path, typer.Option(help="That of an evaluation that was judged.")],
    out: Annotated[Path, typer.Option(help="The page to write; both results go beside it as JSON.")],
    command: Annotated[str, typer.Option(help="What measured them.")] = "make proof",
) -> None:
    """Write results as a page."""
    from evaluation.markdown import results_page

    found = {"figures": _read(results), "judged": _read(judged)}
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_file(out, results_page(found["figures"], found["judged"], command))
    replace_file(out.with_suffix(".json"), json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    typer.echo(f"Written to {out}.")


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} can't be read; give the results.json of an evaluation.") from error
    return found


if __name__ == "__main__":
    app(prog_name="python -m cli.proof")
