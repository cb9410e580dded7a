"""`python -m benchmarks`: measure, print a table, write bench.json."""

from __future__ import annotations

import asyncio
import json
from itertools import chain
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import measure as measuring
from benchmarks import replay
from benchmarks.measure import Way, Workload
from benchmarks.pages import page_figures
from benchmarks.report import Figure, show, write
from benchmarks.suites import DEFAULT, TINY, export_figures, requests_figures, scenes_figures
from benchmarks.training import training_figures
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.loading import load_engine
from scene.record import SceneRecord

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def compare(
    full: Annotated[bool, typer.Option("--full", help="The default model as well; about two hours.")] = False,
    out: Annotated[Path, typer.Option(help="Where to write the figures.")] = Path("bench.json"),
) -> None:
    """Measure everything in one run, each beside what it is compared with."""
    figures: list[Figure] = []
    console = Console()
    for size in (TINY, DEFAULT) if full else (TINY,):
        measured = (
            requests_figures(size),
            scenes_figures(size),
            export_figures(size),
            training_figures(size.model, long=size is TINY),
        )
        for figure in chain.from_iterable(measured):
            figures.append(figure)
            write(figures, out)
    show(figures, console)
    console.print(f"Written to {out}.")


@app.command(hidden=True)
def measure(model: str, way: Way, workload: Workload, units: int) -> None:
    """Measure one thing and print it as JSON."""
    typer.echo(json.dumps(measuring.measure(model, way, workload, units)))


@app.command()
def page(
    export: Annotated[Path, typer.Argument(help="A folder that `export` wrote.")],
    scenes: Annotated[int, typer.Option(help="How many scenes to make of its own.")] = 2000,
) -> None:
    """Measure the page of a large export in Chromium."""
    for name, figure in page_figures(export, scenes).items():
        typer.echo(f"{name}: {figure:g}")


@app.command()
def record(
    questions: Annotated[Path, typer.Argument(help="A text file with one question a line.")],
    model: Annotated[str, typer.Option(help="The model that plays the scenes.")] = "default",
) -> None:
    """Record scenes anew, after a change to the graph or to a prompt's name."""
    asked = [line.strip() for line in questions.read_text(encoding="utf-8").splitlines() if line.strip()]
    engine = load_engine(model)
    graph = build_graph(EngineChatModel(engine=engine))

    async def played() -> list[SceneRecord]:
        return await asyncio.gather(*(play(graph, one, model=engine.identity) for one in asked))

    try:
        replay.save([replay.record(scene) for scene in asyncio.run(played())])
    finally:
        engine.close()


if __name__ == "__main__":
    app()
