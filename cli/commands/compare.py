"""`monopolylogue compare`: what the final answer would have led to, beside what the first one did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.options import (
    OUTPUT,
    BaseUrl,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    NoStructured,
    Roles,
    Seed,
    Steps,
    Temperature,
)
from cli.output import check_writable
from cli.question import Answer, Question, read_answer, read_question
from scene.errors import InputError
from scene.settings import SceneSettings

EPILOG = """\
[bold]Examples[/]

Did the rehearsal help?
  monopolylogue compare "May I read my son's diary?"

Both scenes in a browser, as `view` shows them:
  monopolylogue compare "..." --page scenes.html

The share of harms that went, and what is new:
  monopolylogue compare "..." --json --no-calls | jq '.harms_removed, .replay.came'

The same for every question of a file:
  monopolylogue export questions.jsonl --out scenes --verify"""


def compare(
    question: Question,
    answer: Answer = None,
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    seed: Seed = SceneSettings.seed,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print the record as one line of JSON alone.", rich_help_panel=OUTPUT),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the record to this file too.", rich_help_panel=OUTPUT),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write both scenes as a page for a browser.", rich_help_panel=OUTPUT
        ),
    ] = None,
    no_calls: Annotated[
        bool,
        typer.Option("--no-calls", help="Leave the model's calls out of the record.", rich_help_panel=OUTPUT),
    ] = False,
) -> None:
    """Play a scene, then play it again on its final answer.

    The same people face both answers with the same seed. Which consequences
    went, which stayed and which came, and how many harms were removed. The
    first scene is written as soon as it has ended, should the second not end.
    """
    settings = SceneSettings(
        roles=roles, steps=steps, max_interactions=max_interactions, temperature=temperature, seed=seed
    )
    asked, first_answer = read_question(question), read_answer(answer)
    if out is not None:
        check_writable(out)
    if page is not None:
        check_writable(page, "--page")
        if out is not None and page.resolve() == out.resolve():
            raise InputError(f"{page} is to hold the record as well; give --page another name than --out.")
    try:
        # Here, since LangGraph takes a second to import: --help and a mistyped option come without it.
        from cli.work.rehearsal import ModelChoice, rehearse

        rehearse(
            asked,
            first_answer,
            settings,
            ModelChoice(
                model=model,
                engine=engine,
                dtype=dtype,
                device=device,
                base_url=base_url,
                structured=not no_structured,
            ),
            as_json=as_json,
            out=out,
            page=page,
            keep_calls=not no_calls,
            verify=True,
        )
    except KeyboardInterrupt:
        raise interrupted("No scene was played; what was fetched of the model is kept.") from None
