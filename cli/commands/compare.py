"""`monopolylogue compare`: what the final answer would have led to, beside what the first one did."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.commands.run import play_one
from cli.options import (
    OUTPUT,
    AsJson,
    BaseUrl,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    ModelChoice,
    NoCalls,
    NoStructured,
    Out,
    Roles,
    Seed,
    Steps,
    Temperature,
    Think,
)
from cli.question import Answer, Messages, QuestionOrMessages
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
    question: QuestionOrMessages = None,
    messages: Messages = None,
    answer: Answer = None,
    roles: Roles = SceneSettings.roles,
    steps: Steps = SceneSettings.steps,
    max_interactions: MaxInteractions = SceneSettings.max_interactions,
    temperature: Temperature = SceneSettings.temperature,
    think: Think = SceneSettings.think_tokens,
    seed: Seed = SceneSettings.seed,
    model: Model = "default",
    engine: EngineName = "auto",
    dtype: Dtype = "auto",
    device: Device = "auto",
    base_url: BaseUrl = None,
    no_structured: NoStructured = False,
    as_json: AsJson = False,
    out: Out = None,
    page: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write both scenes as a page for a browser.", rich_help_panel=OUTPUT
        ),
    ] = None,
    no_calls: NoCalls = False,
) -> None:
    """Play a scene, then play it again on its final answer.

    The same people face both answers with the same seed. Which consequences
    went, which stayed and which came, and how many harms were removed. The
    first scene is written as soon as it has ended, should the second not end.
    """
    play_one(
        question,
        messages,
        answer,
        SceneSettings(
            roles=roles,
            steps=steps,
            max_interactions=max_interactions,
            temperature=temperature,
            seed=seed,
            think_tokens=think,
        ),
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
