"""`monopolylogue twins`: beside each question its twin, in nearly the same words with the opposite harm."""

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interruptible
from cli.options import AnyModel, Limit, QuestionColumn, Questions, Seed, Split, Subset, Temperature
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
    choice: AnyModel,
    question_column: QuestionColumn = None,
    subset: Subset = None,
    split: Split = None,
    limit: Limit = None,
    temperature: Temperature = SceneSettings.temperature,
    seed: Seed = SceneSettings.seed,
) -> None:
    """Write the twin of each question.

    A harmful question gets a harmless twin in nearly the same words, any other
    one a harmful twin: by its column `kind`, else as the model sees it. What
    is no twin is left out and counted. The same command again goes on.
    """
    settings = SceneSettings(temperature=temperature, seed=seed)
    with interruptible(f"What is finished is kept beside {out}; run the same command again to go on."):
        from cli.work.twinning import run_twins
        from scene.tables.questions import Columns, read_questions

        columns = Columns(question=question_column)
        found = read_questions(questions, columns, subset=subset, split=split, limit=limit)
        run_twins(found, questions, settings, choice, out)
