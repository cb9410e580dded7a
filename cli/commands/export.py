"""`monopolylogue export`: a scene for every question of a file or data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.config_file import Config
from cli.options import (
    QUESTIONS,
    RUNNING,
    SCENE,
    BaseUrls,
    Cast,
    Concurrency,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    ModelChoice,
    NoStructured,
    Prompts,
    QuestionColumn,
    Questions,
    RetryFailed,
    Roles,
    Seed,
    Split,
    Steps,
    Subset,
    Temperature,
    Think,
)
from scene.nouns import Kind
from scene.settings import SceneSettings
from scene.tables.questions import Columns

MACHINES = "More than one machine"
"""Title in --help."""

EPILOG = """\
[bold]Examples[/]

A scene for every question; the same command again goes on where it stopped:
  monopolylogue export questions.jsonl --out scenes

What that would take, and a first look at ten questions:
  monopolylogue export questions.jsonl --out scenes --dry-run
  monopolylogue export questions.jsonl --out scenes --limit 10

Requests to be declined, from a data set of the hub:
  monopolylogue export walledai/AdvBench --kind harmful --out scenes

First answers that exist already:
  monopolylogue export tasks.csv --answer-column reply --out scenes

Two models side by side on this machine; then a cluster, with a server on each of two machines:
  monopolylogue export questions.jsonl --out scenes --ray local --ray-actors 2
  monopolylogue export questions.jsonl --out scenes --ray 10.0.0.1:6379 \
    --base-url http://10.0.0.2:8000/v1 --base-url http://10.0.0.3:8000/v1

Your own prompts, and the same people around every question:
  monopolylogue export questions.jsonl --out scenes --prompts german --cast people.yaml

What came of one question, as `run` would have shown it:
  monopolylogue explain scenes 943"""


def export(
    questions: Questions,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for the scenes; goes on with what is there.")
    ],
    config: Config = None,
    question_column: QuestionColumn = None,
    answer_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of first answers to rehearse.", rich_help_panel=QUESTIONS),
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option(help="What all the questions are.", rich_help_panel=QUESTIONS)
    ] = None,
    kind_column: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Column that says harmful or helpful (safe, unsafe); by default `kind`.",
            rich_help_panel=QUESTIONS,
        ),
    ] = None,
    subset: Subset = None,
    split: Split = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Stop at a row that can't be used.", rich_help_panel=QUESTIONS),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many questions.", rich_help_panel=QUESTIONS)
    ] = None,
    shuffle_seed: Annotated[
        int | None, typer.Option(help="Shuffle the questions first.", rich_help_panel=QUESTIONS)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how much there is to do, and stop.", rich_help_panel=RUNNING),
    ] = False,
    concurrency: Concurrency = None,
    scene_timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which a scene is given up.", rich_help_panel=RUNNING)
    ] = 7200,
    retry_failed: RetryFailed = False,
    max_failures: Annotated[
        int | None,
        typer.Option(min=1, help="Stop once so many have failed in this run.", rich_help_panel=RUNNING),
    ] = None,
    no_checkpoints: Annotated[
        bool,
        typer.Option(
            "--no-checkpoints", help="Keep nothing of scenes under way on disk.", rich_help_panel=RUNNING
        ),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Play in the actors of a Ray cluster: host:port of its head, auto, or local.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    ray_actors: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Actors, each with a model or server; by default one for each machine or server.",
            rich_help_panel=MACHINES,
        ),
    ] = None,
    no_calls: Annotated[
        bool,
        typer.Option("--no-calls", help="Leave the model's calls out of the records.", rich_help_panel=SCENE),
    ] = False,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify",
            help="Play each scene again on its final answer: which harms went?",
            rich_help_panel=SCENE,
        ),
    ] = False,
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    think: Think = SceneSettings.think_tokens,
    seed: Seed = SceneSettings.seed,
    cast: Cast = None,
    prompts: Prompts = None,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrls = None,
    no_structured: NoStructured = False,
) -> None:
    """Play a scene for every question and keep the records.

    Every question ends as one line of scenes.jsonl or one of failures.jsonl,
    whatever happens in between. The same command again goes on with what is
    left.
    """
    settings = SceneSettings(
        roles=roles,
        steps=steps,
        max_interactions=max_interactions,
        temperature=temperature,
        seed=seed,
        think_tokens=think,
    )
    try:
        # Here, since LangGraph takes a second to import.
        from cli.work.exporting import Options, run_export
        from cli.work.machines import Machines
        from cli.work.own import own_cast, own_prompts

        prompt_set = own_prompts(prompts)

        run_export(
            Options(
                source=questions,
                subset=subset,
                split=split,
                columns=Columns(
                    question=question_column, answer=answer_column, kind=kind, kind_column=kind_column
                ),
                strict=strict,
                limit=limit,
                shuffle_seed=shuffle_seed,
                out=out,
                settings=settings,
                given=own_cast(cast, prompt_set, settings),
                prompt_set=prompt_set,
                keep_calls=not no_calls,
                verify=verify,
                model=ModelChoice(
                    model=model,
                    engine=engine,
                    dtype=dtype,
                    device=device,
                    base_url=base_url[0] if base_url else None,
                    structured=not no_structured,
                ),
                machines=Machines(ray=ray, actors=ray_actors, base_urls=tuple(base_url or ())),
                concurrency=concurrency,
                scene_seconds=scene_timeout,
                retry_failed=retry_failed,
                max_failures=max_failures,
                checkpoints=not no_checkpoints,
            ),
            dry_run=dry_run,
        )
    except KeyboardInterrupt:
        raise interrupted(f"No scene was played; what {out} held before is still there.") from None
