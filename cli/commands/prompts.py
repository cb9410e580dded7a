"""`monopolylogue prompts`: a copy of the prompts to change, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from cli.complaint import complain
from scene.errors import InputError
from scene.text import one_line

EPILOG = """\
[bold]Example[/]

Change what is asked, or the language it is asked in; files that you remove are ours again:
  monopolylogue prompts copy german
  monopolylogue prompts check german
  monopolylogue run "Darf ich Laub verbrennen?" --prompts german"""

app = typer.Typer(epilog=EPILOG, rich_markup_mode="rich", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder.")]


@app.callback()
def prompts() -> None:
    """Copy the prompts to change them, and check what became of them."""


@app.command()
def copy(folder: Folder) -> None:
    """Write all prompt files to a new folder, to start from."""
    from prompts import OURS

    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InputError(f"{folder} is there already and not empty; give the name of a new folder.")
        for name, held in OURS.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(held)
    except OSError as error:
        raise InputError(f"{folder} can't be written ({error.strerror}); give another folder.") from error
    typer.echo(one_line(f"{len(OURS.files)} files are in {folder}; change some and give it with --prompts."))


@app.command()
def check(folder: Folder) -> None:
    """Say what is wrong with the prompt files of a folder, all of it."""
    from nodes.own_prompts import checked

    prompt_set, faults = checked(folder)
    for name, found in faults.items():
        for fault in found:
            typer.echo(one_line(f"{folder / name}: {fault}"))
    if faults:
        number = sum(map(len, faults.values()))
        complain(f"{folder} has {number} {'fault' if number == 1 else 'faults'}; mend them to play with it.")
        raise typer.Exit(2)
    typer.echo(one_line(f"{folder} can be played with; its digest is {prompt_set.digest()}."))
