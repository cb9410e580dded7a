"""Opening a session with its model, and handing it to the terminal."""

import asyncio
import os
import sqlite3
from pathlib import Path
from typing import Any

import typer

from cli.options import ModelChoice
from cli.options.own import own_prompts
from cli.views.console import plain_console
from cli.work.loading import loaded
from cli.work.stepping import Stepping
from graph.session import Session
from graph.session_file import check_unchanged, other_version, read_info
from inference.engine import Engine
from prompts import PromptSet
from scene.errors import InputError
from scene.files import lock
from scene.text import one_line


def step_through(path: Path, out: Path | None) -> None:
    """Open a session and stop where it stands, until the user quits; `ID.json` is for its record by default.

    Raises:
        InputError: The file is no session, is open elsewhere, was begun with another model or other prompts,
            or its model can't be loaded.
    """
    info = read_info(path)
    prompt_set = own_prompts(None if info.prompt_folder is None else Path(info.prompt_folder))
    check_unchanged(info, prompt_set=prompt_set)
    model: Any = info.model
    try:
        choice = ModelChoice(**model)
    except TypeError as error:
        raise other_version(path) from error
    try:
        held = lock(path.with_suffix(".lock"))
    except BlockingIOError as error:
        raise InputError(f"Session {info.id} is open in another terminal; quit it there first.") from error
    try:
        with loaded(choice, plain_console(stderr=True)) as engine:
            asyncio.run(_run(path, engine, prompt_set, out or Path(f"{info.id}.json")))
    except sqlite3.Error as error:
        raise InputError(f"{path} can't be used ({error}); free some room, or make it writable.") from error
    finally:
        os.close(held)
    name = one_line(info.id)
    typer.echo(f"Session {name} is kept; `monopolylogue step --resume {name}` goes on.")


async def _run(path: Path, engine: Engine, prompt_set: PromptSet, out: Path) -> None:
    async with Session.opened(path, engine, prompt_set) as session:
        await Stepping(session, out, path.parent).run_async()
