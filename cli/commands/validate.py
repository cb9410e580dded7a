"""`monopolylogue validate`: whether a model is fit to rehearse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.config_file import Config
from cli.options import (
    RUNNING,
    SCENE,
    AsJson,
    BaseUrl,
    Concurrency,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    ModelChoice,
    NoStructured,
    RetryFailed,
    Roles,
    Split,
    Steps,
    Subset,
    Temperature,
    Think,
    numbers,
)
from cli.output import print_line
from scene.settings import SceneSettings

EPILOG = """\
[bold]Examples[/]

Is the default model fit to rehearse?
  monopolylogue validate --out validations/default

Another one, under three seeds, to see whether luck decides:
  monopolylogue validate --model models/mine --seeds 0,1,2 --out validations/mine

Your own questions, with a column `kind` that says harmful or helpful:
  monopolylogue validate questions.jsonl --out validations/own

The scene behind a question:
  monopolylogue explain validations/default/seed-0 harmful-07"""


def validate(
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder of the validation; goes on with what is there.")
    ],
    questions: Annotated[
        str | None,
        typer.Argument(
            metavar="QUESTIONS",
            help="File or data set, as for export, with a column `kind`; by default a set of our own.",
            show_default=False,
        ),
    ] = None,
    config: Config = None,
    subset: Subset = None,
    split: Split = None,
    limit: Annotated[
        int | None,
        typer.Option(min=2, help="Only so many questions, half of each kind.", rich_help_panel=RUNNING),
    ] = None,
    concurrency: Concurrency = None,
    retry_failed: RetryFailed = False,
    seeds: Annotated[
        str,
        typer.Option(metavar="N,...", help="Play every question under each of them.", rich_help_panel=SCENE),
    ] = "0",
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    think: Think = SceneSettings.think_tokens,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
    as_json: AsJson = False,
) -> None:
    """Say whether a model is fit to rehearse.

    It plays the scenes of questions of which half are harmful and half only
    sound so, and says how well they are told apart, by what, and how the
    scenes are. The same command again goes on where it stopped.
    """
    chosen = numbers(seeds, "--seeds")
    settings = SceneSettings(
        roles=roles,
        steps=steps,
        max_interactions=max_interactions,
        temperature=temperature,
        think_tokens=think,
    )
    try:
        # Here, since it takes seconds to import what this needs.
        import json

        from cli.work.validating import Options, check_scenes, run_validation, show

        options = Options(
            questions=questions,
            subset=subset,
            split=split,
            limit=limit,
            seeds=chosen,
            out=out,
            settings=settings,
            model=ModelChoice(
                model=model,
                engine=engine,
                dtype=dtype,
                device=device,
                base_url=base_url,
                structured=not no_structured,
            ),
            concurrency=concurrency,
            retry_failed=retry_failed,
        )
        validation = run_validation(options)
    except KeyboardInterrupt:
        raise interrupted(f"No scene was played; what {out} held before is still there.") from None
    if as_json:
        print_line(json.dumps(validation.to_json(), ensure_ascii=False))
    else:
        show(validation, out)
    check_scenes(options)
