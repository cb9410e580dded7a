"""What `serve` takes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.options import OUTPUT, RUNNING, AnyModel, AnyScene, option

Rehearse = Literal["always", "doubtful", "never"]
"""Which questions of a server's clients a scene is played for."""


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What the command line asks for."""

    host: Annotated[
        str, typer.Option(help="Address to listen at; any but this machine's own needs a key.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 8400
    rehearse: Annotated[
        Rehearse, typer.Option(help="Play a scene for every question, where there is a doubt, or for none.")
    ] = "doubtful"
    scenes: Annotated[
        int | None, option(RUNNING, "Scenes at once; by default as many as keep the model busy.", min=1)
    ] = None
    queue: Annotated[
        int, option(RUNNING, "Requests that may wait beside them; more are sent away (429).", min=0)
    ] = 64
    out: Annotated[
        Path | None, option(OUTPUT, "Keep the scenes in this folder, as an export.", metavar="DIR")
    ] = None
    settings: AnyScene
    model: AnyModel
