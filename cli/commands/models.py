"""`monopolylogue models`: what is on this machine, and how it gets there and goes again."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cli.complaint import interruptible
from cli.output import print_json
from cli.views.console import plain_console
from cli.views.progress import Loading
from scene.errors import InputError
from scene.text import one_line

if TYPE_CHECKING:
    from inference.inventory import Cached

BUILT_IN = ("default", "tiny")
KEPT = "What was downloaded is kept; run the command again to go on."
WEIGHTS = ("q8_0", "q4_k_m")

EPILOG = """\
[bold]Examples[/]

What is on this machine, and how much room it takes:
  monopolylogue models
  monopolylogue models --json | jq '.[] | select(.size > 1e9) | .path'

Fetch the default model now rather than in the first run:
  monopolylogue models pull default

Make a model from the Hugging Face hub fast on a CPU:
  monopolylogue models convert Qwen/Qwen2.5-0.5B-Instruct
  monopolylogue run "..." --model Qwen/Qwen2.5-0.5B-Instruct

Free the room again:
  monopolylogue models remove Qwen/Qwen2.5-0.5B-Instruct"""

app = typer.Typer(epilog=EPILOG, rich_markup_mode="rich")

AsJson = Annotated[bool, typer.Option("--json", help="Print one line of JSON alone: a list of objects.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="default, tiny, a Hugging Face id, a folder or a GGUF file.",
        autocompletion=lambda: list(BUILT_IN),
    ),
]


ConvertName = Annotated[str, typer.Argument(metavar="MODEL", help="A Hugging Face id or a folder.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: AsJson = False) -> None:
    """List, fetch, convert and remove models."""
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show what is on this machine, as `monopolylogue models` alone does."""
    from inference.inventory import inventory

    there = inventory()
    if as_json:
        print_json([{**asdict(each), "path": str(each.path)} for each in there])
    elif there:
        _show(there)
    else:
        typer.echo("No model is on this machine yet; `monopolylogue models pull default` fetches one.")


@app.command()
def pull(model: Name) -> None:
    """Fetch a model, and convert it if need be.

    What a run with this model would fetch and convert first. What is here
    already is left as it is, so the command can be run again at any time.
    """
    from inference.loading import bring

    with interruptible(KEPT), Loading(plain_console(stderr=True), model) as loading:
        path = bring(model, on_progress=loading)
    typer.echo(one_line(f"{model} is here: {path}"))


@app.command()
def convert(
    model: ConvertName,
    weights: Annotated[
        str, typer.Option(metavar="FORMAT", help="q8_0 or q4_k_m.", autocompletion=lambda: list(WEIGHTS))
    ] = WEIGHTS[0],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A new file *.gguf, instead of the cache.")
    ] = None,
) -> None:
    """Convert a model to GGUF, to make it fast on a CPU.

    For models of Llama's and Qwen2's architectures. q8_0 changes next to
    nothing; q4_k_m takes half the room, which larger models bear better.
    """
    from inference.llama_engine.conversion import convert as convert_to_gguf
    from inference.models.sources import resolve

    with interruptible(KEPT), Loading(plain_console(stderr=True), model) as loading:
        path = convert_to_gguf(resolve(model), weights, out=out, on_progress=loading)
    typer.echo(one_line(f"{model} is converted: {path}"))


@app.command()
def remove(
    model: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False
) -> None:
    """Remove what the cache holds of a model."""
    from inference.inventory import discard, inventory

    names = {model, str(Path(model).expanduser().resolve())}
    found = [each for each in inventory() if names & {each.name, str(each.path)}]
    if not found:
        raise InputError(f"Nothing of {model!r} is on this machine; `monopolylogue models` lists what is.")
    if not yes:
        if not sys.stdin.isatty():
            raise InputError(f"Give --yes to remove {model!r} without being asked.")
        _show(found)
        typer.confirm("Remove this?", abort=True)
    for each in found:
        discard(each)
        typer.echo(one_line(f"Removed {each.path}"))


def _show(there: list[Cached]) -> None:
    """Two lines for each, and a sum."""
    from rich.filesize import decimal

    for each in there:
        what = [each.kind, decimal(each.size), each.revision[:12], " and ".join(each.engines)]
        typer.echo(f"{one_line(each.name)}: {', '.join(filter(None, what))}")
        typer.echo(f"  {one_line(str(each.path))}")
    if len(there) > 1:
        typer.echo(f"{decimal(sum(each.size for each in there))} in all.")
