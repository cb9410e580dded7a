"""`monopolylogue ratings`: what people found of answers that they did not know the authors of."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from cli.options import ResultsAsJson
from cli.output import print_json
from cli.views.console import plain_console

EPILOG = """\
[bold]Example[/]

What three people found who got the same page, and how far they agree with the judge:
  monopolylogue view evaluations/monday --rate --pair tuned=base --out rate.html
  monopolylogue ratings ada.jsonl ben.jsonl cleo.jsonl --evaluation evaluations/monday"""


def ratings(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="What people downloaded from the page of `view --rate`."),
    ],
    evaluation: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder of `evaluate`, whose judge they are compared with."),
    ] = None,
    as_json: ResultsAsJson = False,
) -> None:
    """Count what people rated: wins, ties, losses, and how far they agree.

    Figures come with 95% intervals over pairs of answers.
    """
    from evaluation.ratings import ratings_of, read_judgements, read_ratings
    from evaluation.report.tables import agreement_table, rated_table

    judged = None if evaluation is None else read_judgements(evaluation)
    found = ratings_of(read_ratings(files), judged)
    if as_json:
        print_json(asdict(found))
        return
    console = plain_console()
    console.print(f"{found.ratings:,} ratings by {found.raters:,} people")
    console.print(rated_table(found))
    if found.agreement:
        console.print(agreement_table(found))
