"""Playing labelled questions under one seed after the other, and working out what the scenes say."""

import json
from dataclasses import asdict
from pathlib import Path

from cli.options.export import ValidateOptions
from cli.output import save
from cli.views.console import plain_console
from cli.work.exporting import Exporting
from evaluation.validation.figures import Validation, validation_of
from evaluation.validation.plot import write_plot
from evaluation.validation.questions import labelled
from evaluation.validation.tables import tables
from scene.errors import MonopolylogueError
from scene.export import FAILURES, Export

RESULTS, PLOT = "validation.json", "validation.png"


def run_validation(options: ValidateOptions) -> Validation:
    """Play what is missing, and write and return what all scenes come to.

    Raises:
        MonopolylogueError: The questions can't be used, the folder can't be, the model can't be loaded, or
            not one scene came to its end.
        typer.Exit: Ctrl-C, or an engine that died.
    """
    console = plain_console(stderr=True)
    found = labelled(options.questions, options.limit, subset=options.subset, split=options.split)
    for seed in options.chosen:
        Exporting(options.export(seed), found, found.questions, console).play_missing()
    exports = {seed: Export(options.export(seed).out) for seed in options.chosen}
    if not any(export.contents.done for export in exports.values()):
        folder = options.export(options.chosen[0]).out
        raise MonopolylogueError(f"Not one scene came to its end; {folder / FAILURES} says why.")
    validation = validation_of(exports, found.questions)
    save(options.out / RESULTS, json.dumps(asdict(validation), indent=1, ensure_ascii=False) + "\n")
    write_plot(validation, options.out / PLOT)
    return validation


def show(validation: Validation, out: Path) -> None:
    """The tables and the verdict, on standard output."""
    console = plain_console()
    for table in tables(validation):
        console.print(table)
    console.print(f"Written to {out}.")
    console.print(validation.verdict.sentence)
