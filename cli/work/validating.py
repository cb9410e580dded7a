"""Playing labelled questions under one seed after the other, and working out what the scenes say."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from cli.options import ModelChoice
from cli.output import save
from cli.views.console import plain_console
from cli.work.exporting import Options as ExportOptions
from cli.work.exporting import check_failures, play_missing
from cli.work.machines import Machines
from evaluation.validation.figures import Validation, validation_of
from evaluation.validation.plot import write_plot
from evaluation.validation.questions import labelled
from evaluation.validation.tables import tables
from graph.player import SCENE_SECONDS
from scene.errors import MonopolylogueError
from scene.export import FAILURES, Export, read_manifest
from scene.settings import SceneSettings
from scene.tables.questions import Columns

RESULTS, PLOT = "validation.json", "validation.png"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for; see `cli.commands.validate.validate`."""

    questions: str | None
    subset: str | None
    split: str | None
    limit: int | None
    seeds: tuple[int, ...]
    out: Path
    settings: SceneSettings
    model: ModelChoice
    concurrency: int | None
    retry_failed: bool

    def export(self, seed: int) -> ExportOptions:
        """The export of one seed, which `export` itself could go on with."""
        return ExportOptions(
            source=self.questions or "the shipped questions",
            subset=self.subset,
            split=self.split,
            columns=Columns(),
            strict=True,
            limit=self.limit,
            shuffle_seed=None,
            out=self.out / f"seed-{seed}",
            settings=replace(self.settings, seed=seed),
            keep_calls=True,
            verify=False,
            model=self.model,
            machines=Machines(ray=None, actors=None, base_urls=()),
            concurrency=self.concurrency,
            scene_seconds=SCENE_SECONDS,
            retry_failed=self.retry_failed,
            max_failures=None,
        )


def run_validation(options: Options) -> Validation:
    """Play what is missing, and write and return what all scenes come to.

    Raises:
        MonopolylogueError: The questions can't be used, the folder can't be, the model can't be loaded, or
            not one scene came to its end.
        typer.Exit: Ctrl-C, or an engine that died.
    """
    console = plain_console(stderr=True)
    found = labelled(options.questions, options.limit, subset=options.subset, split=options.split)
    for seed in options.seeds:
        play_missing(options.export(seed), found, found.questions, console)
    exports = {seed: Export(options.export(seed).out) for seed in options.seeds}
    if not any(export.contents.done for export in exports.values()):
        folder = options.export(options.seeds[0]).out
        raise MonopolylogueError(f"Not one scene came to its end; {folder / FAILURES} says why.")
    validation = validation_of(exports, found.questions)
    save(options.out / RESULTS, json.dumps(validation.to_json(), indent=1, ensure_ascii=False) + "\n")
    write_plot(validation, options.out / PLOT)
    return validation


def check_scenes(options: Options) -> None:
    """Let nobody take a validation for whole in which much failed.

    Raises:
        typer.Exit: More than a tenth of the scenes failed.
    """
    check_failures([read_manifest(options.export(seed).out).counts for seed in options.seeds])


def show(validation: Validation, out: Path) -> None:
    """The tables and the verdict, on standard output."""
    console = plain_console()
    for table in tables(validation):
        console.print(table)
    console.print(f"Written to {out}.", soft_wrap=True)
    console.print(validation.verdict.sentence, soft_wrap=True)
