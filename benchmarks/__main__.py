"""`python -m benchmarks`: measure, print a table, write bench.json."""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from benchmarks import measure as measuring
from benchmarks import replay, training
from benchmarks import tokens as counting
from benchmarks.ledger import Ledger, circumstances, described, say
from benchmarks.measure import Way, Workload
from benchmarks.report import Figure, read, show, write
from benchmarks.suites import DEFAULT, TINY, Group, Size, requests_figures, scenes_figures
from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.loading import load_engine
from scene.record import SceneRecord

Model = Literal["tiny", "default"]

FIGURES: dict[Group, Callable[[Size, Ledger], Iterator[Figure]]] = {
    "requests": requests_figures,
    "scenes": scenes_figures,
    "training": lambda size, ledger: training.training_figures(size.model, ledger, long=size is TINY),
}

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def compare(
    full: Annotated[bool, typer.Option("--full", help="Both models; hours.")] = False,
    model: Annotated[Model, typer.Option(help="The model to measure with.")] = "tiny",
    only: Annotated[Group | None, typer.Option(help="Only these figures.")] = None,
    out: Annotated[Path, typer.Option(help="Where to write the figures.")] = Path("bench.json"),
    anew: Annotated[
        bool, typer.Option("--anew", help="Measure again what a run that was cut off has measured.")
    ] = False,
) -> None:
    """Measure everything in one run, each beside what it is compared with.

    A run that was cut off goes on where it stopped, if machine, versions and sources are the same; then
    figures that are not measured now stay in the file, too. bench.runs.json remembers both.
    """
    sizes = [size for size in (TINY, DEFAULT) if full or size.model == model]
    groups = [only] if only else list(FIGURES)
    about = circumstances()
    ledger = Ledger(out.with_suffix(".runs.json"), about, anew=anew)
    if out.exists() and not ledger.same:
        before = out.replace(out.with_suffix(".before.json"))
        say(f"{out} is of another machine, version or state of the sources; it is now {before}.")
    if ledger.measured:
        say(
            f"{len(ledger.measured)} measurements are there from a run that was cut off; --anew repeats them."
        )
    say(described(about))
    minutes = sum(size.minutes[group] for size in sizes for group in groups)
    say(f"That takes about {minutes} minutes on two processor cores that have nothing else to do.")
    figures = read(out)
    try:
        for size in sizes:
            for figure in chain.from_iterable(FIGURES[group](size, ledger) for group in groups):
                figures[figure.name] = figure
                write(figures, out)
    except KeyboardInterrupt:
        say("Interrupted; the same command goes on with what is left.")
        raise typer.Exit(130) from None
    ledger.complete()
    console = Console()
    show(figures.values(), console)
    console.print(f"Written to {out}.")


@app.command(hidden=True)
def measure(model: str, way: Way, workload: Workload, units: int, dtype: str = "auto") -> None:
    """Measure one thing and print it as JSON."""
    typer.echo(json.dumps(measuring.measure(model, way, workload, units, dtype)))


@app.command(hidden=True)
def train(model: str, way: training.Way, rows: int) -> None:
    """Measure one training and print it as JSON."""
    typer.echo(json.dumps(asdict(training.train_once(model, way, rows))))


@app.command()
def tokens(
    tokenizer: Annotated[
        str, typer.Option(help="Count with this model's tokenizer; with none by its first cut of a text.")
    ] = "",
    first: Annotated[int | None, typer.Option("--scenes", min=1, help="Only so many scenes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the means as one JSON object.")] = False,
) -> None:
    """Count, without a model, the tokens that recorded scenes take."""
    scenes = replay.load()[:first]
    costs = counting.costs_of(scenes, counting.real_tokenizer(tokenizer) if tokenizer else counting.Pieces())
    if as_json:
        typer.echo(json.dumps(counting.as_json(costs)))
    else:
        counting.show(scenes, costs, Console())


@app.command()
def record(
    questions: Annotated[Path, typer.Argument(help="A text file with one question a line.")],
    model: Annotated[str, typer.Option(help="The model that plays the scenes.")] = "default",
) -> None:
    """Record scenes anew, after a change to the graph or to a prompt's name."""
    asked = [line.strip() for line in questions.read_text(encoding="utf-8").split("\n") if line.strip()]
    with closing(load_engine(model)) as engine:
        graph = build_graph(EngineChatModel(engine=engine))

        async def played() -> list[SceneRecord]:
            return await asyncio.gather(*(play(graph, one, model=engine.identity) for one in asked))

        replay.save([replay.record(scene) for scene in asyncio.run(played())])


if __name__ == "__main__":
    app()
