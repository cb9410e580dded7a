"""`monopolylogue serve`: an OpenAI-compatible server that rehearses before it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import interrupted
from cli.options import (
    OUTPUT,
    RUNNING,
    BaseUrl,
    Device,
    Dtype,
    EngineName,
    MaxInteractions,
    Model,
    ModelChoice,
    NoStructured,
    Rehearse,
    Roles,
    Seed,
    Steps,
    Temperature,
    Think,
)
from scene.settings import SceneSettings

EPILOG = """\
[bold]Examples[/]

A scene before an answer wherever there is a doubt, on this machine alone:
  monopolylogue serve
  curl http://127.0.0.1:8400/v1/chat/completions -H 'Content-Type: application/json' \
    -d '{"model": "default", "messages": [{"role": "user", "content": "May I read my son'"'"'s diary?"}]}'

For other machines too, with a key that they have to show:
  MONOPOLYLOGUE_SERVE_KEY=... monopolylogue serve --host 0.0.0.0

A scene for every question, and the records of all:
  monopolylogue serve --rehearse always --out scenes"""


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs a key.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8400,
    rehearse: Annotated[
        Rehearse,
        typer.Option(help="Play a scene for every question, where there is a doubt, or for none."),
    ] = "doubtful",
    scenes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Scenes at once; by default as many as keep the model busy.", rich_help_panel=RUNNING
        ),
    ] = None,
    queue: Annotated[
        int,
        typer.Option(
            min=0,
            help="Requests that may wait beside them; more are sent away (429).",
            rich_help_panel=RUNNING,
        ),
    ] = 64,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Keep the scenes in this folder, as an export.", rich_help_panel=OUTPUT
        ),
    ] = None,
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
) -> None:
    """Answer chat clients, after a rehearsal where one is called for.

    It speaks OpenAI's protocol at /v1/chat/completions and /v1/models.
    docs/serving.md says what of it is heard.
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
        # Here, since LangGraph and FastAPI take a second to import.
        from cli.serving.process import Options, run_server

        run_server(
            Options(
                host=host,
                port=port,
                rehearse=rehearse,
                scenes=scenes,
                queue=queue,
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
            )
        )
    except KeyboardInterrupt:
        raise interrupted("No request was answered.") from None
