"""Opening a session with its model, and handing it to the terminal."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import typer
from filelock import FileLock, Timeout

from cli.console import plain_console
from cli.rehearsal import ModelChoice, close, load
from cli.stepping import Stepping
from graph.session import Session
from graph.session_file import read_info
from inference.engine import Engine
from scene.errors import InputError


def step_through(path: Path, out: Path | None) -> None:
    """Open a session and stop where it stands, until the user quits.

    Args:
        path: The session's file.
        out: Where its record is saved; `ID.json` when None.

    Raises:
        InputError: The file is no session, is open elsewhere, or its model can't be loaded.
    """
    info = read_info(path)
    choice: Any = info.model
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise InputError(f"Session {info.id} is open in another terminal; quit it there first.") from error
    try:
        engine = load(ModelChoice(**choice), plain_console(stderr=True))
        try:
            asyncio.run(_run(path, engine, out or Path(f"{info.id}.json")))
        finally:
            close(engine)
    finally:
        lock.release()
    typer.echo(f"Session {info.id} is kept; `monopolylogue step --resume {info.id}` goes on.")


async def _run(path: Path, engine: Engine, out: Path) -> None:
    async with Session.opened(path, engine) as session:
        await Stepping(session, out, path.parent).run_async()
