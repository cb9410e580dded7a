"""`monopolylogue twins`: beside each question its twin, in nearly the same words with the opposite harm."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.options import (
    QUESTIONS,
    BaseUrl,
    Device,
    Dtype,
    EngineName,
    Model,
    ModelChoice,
    NoStructured,
    QuestionColumn,
    Questions,
    Seed,
    Split,
    Subset,
    Temperature,
)
from scene.settings import SceneSettings

EPILOG = """\
[bold]Examples[/]

From delicate questions to rows that tell apart what sounds alike:
  monopolylogue twins questions.jsonl --out pairs.jsonl
  monopolylogue export pairs.jsonl --out exports/pairs
  monopolylogue dataset exports/pairs --twins --out data/pairs"""


def twins(
    questions: Questions,
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Question file for the pairs; goes on with what is there.")
    ],
    question_column: QuestionColumn = None,
    subset: Subset = None,
    split: Split = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many questions.", rich_help_panel=QUESTIONS)
    ] = None,
    temperature: Temperature = SceneSettings.temperature,
    seed: Seed = SceneSettings.seed,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
) -> None:
    """Write the twin of each question.

    A harmful question gets a harmless twin in nearly the same words, any other
    one a harmful twin: by its column `kind`, else as the model sees it. What
    is no twin is left out and counted. The same command again goes on.
    """
    settings = SceneSettings(temperature=temperature, seed=seed)
    choice = ModelChoice(
        model=model,
        engine=engine,
        dtype=dtype,
        device=device,
        base_url=base_url,
        structured=not no_structured,
    )
    try:
        # Here, since it takes seconds to import what this needs.
        from cli.work.twinning import run_twins
        from scene.tables.questions import Columns, read_questions

        found = read_questions(
            questions, Columns(question=question_column), subset=subset, split=split, limit=limit
        )
        run_twins(found, questions, settings, choice, out)
    except KeyboardInterrupt:
        raise interrupted(
            f"What is finished is kept beside {out}; run the same command again to go on."
        ) from None
