"""Loading a model, playing one scene with it, and showing or keeping what came of it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from rich.console import Console

from cli.complaint import interrupted
from cli.console import plain_console
from cli.display import SceneView
from cli.output import print_line, quiet_stdout, save
from cli.progress import Loading, Working
from cli.replay_view import ReplayView
from cli.unfolding import Unfolding
from graph import build_graph
from graph.build import build_replay
from graph.play import play
from graph.replay import replayed
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from inference.loading import load_engine
from scene.record import SceneRecord
from scene.settings import SceneSettings


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """Which model to load, and how; see `inference.loading.load_engine`."""

    model: str
    engine: str
    dtype: str
    device: str
    base_url: str | None
    structured: bool


def rehearse(
    question: str,
    first_answer: str,
    settings: SceneSettings,
    choice: ModelChoice,
    *,
    as_json: bool,
    out: Path | None,
    keep_calls: bool,
    verify: bool,
) -> None:
    """Play a scene and show it as it unfolds; or, as JSON, print its record and nothing else.

    Args:
        question: The question, checked.
        first_answer: The answer to rehearse; empty for the model's own.
        settings: How to play.
        choice: The model.
        as_json: Print the record instead of the scene.
        out: File to write the record to.
        keep_calls: Keep every model call in the record.
        verify: Play the scene again on the final answer, and compare the two.

    Raises:
        MonopolylogueError: The model can't be loaded, the scene failed, or the file can't be written.
        typer.Exit: Ctrl-C in mid-scene.
    """
    stdout, stderr = plain_console(), plain_console(stderr=True)
    shown = stderr if as_json else stdout
    view = None if as_json else SceneView(shown)
    with quiet_stdout() if as_json else nullcontext():
        engine = load(choice, stderr)
        try:
            with Working(shown) as working:
                played = _play(engine, question, first_answer, settings, working, view, keep_calls=keep_calls)
                record = asyncio.run(_replayed(engine, played, working, view) if verify else played)
        except KeyboardInterrupt:
            # Said before the engine is closed, which waits for the step it is in.
            raise interrupted(
                "Nothing of this scene was kept; run the command again to play it anew."
            ) from None
        finally:
            close(engine)
    line = record.to_json()
    try:
        if out is not None:
            save(out, line + "\n")
    finally:  # a file that can't be written after all does not lose the scene
        if view is not None:
            view.cost(record)
        else:
            print_line(line)


async def _play(
    engine: Engine,
    question: str,
    first_answer: str,
    settings: SceneSettings,
    working: Working,
    view: SceneView | None,
    *,
    keep_calls: bool,
) -> SceneRecord:
    unfolding = Unfolding(working, view)
    record = await play(
        build_graph(EngineChatModel(engine=engine)),
        question,
        model=engine.identity,
        first_answer=first_answer,
        settings=settings,
        keep_calls=keep_calls,
        on_state=unfolding.on_state,
        on_call=unfolding.on_call,
    )
    if view is not None:
        view.answers(record)
    return record


async def _replayed(
    engine: Engine, played: Awaitable[SceneRecord], working: Working, view: SceneView | None
) -> SceneRecord:
    """The scene, and what follows from its final answer among the same people."""
    record = await played
    again = None if view is None else ReplayView(view.console)
    unfolding = Unfolding(working, again)
    record = await replayed(
        build_replay(EngineChatModel(engine=engine)),
        record,
        keep_calls=record.calls is not None,
        on_state=unfolding.on_state,
        on_call=unfolding.on_call,
    )
    if again is not None:
        again.changes(record)
    return record


def load(choice: ModelChoice, console: Console) -> Engine:
    """Load a model and show how that goes.

    Raises:
        InputError: It can't be loaded.
    """
    with Loading(console, choice.model) as loading:
        return loader(choice)(on_progress=loading)


def loader(choice: ModelChoice) -> Callable[..., Engine]:
    """`load_engine` for a model; what else it is to know is given when it is called."""
    return partial(
        load_engine,
        choice.model,
        engine=choice.engine,
        dtype=choice.dtype,
        device=choice.device,
        base_url=choice.base_url,
        structured=choice.structured,
    )


class Closable(Protocol):
    """An engine, or what plays with one."""

    def close(self) -> None:
        """Stop it."""
        ...


def close(engine: Closable) -> None:
    """Stop the engine. It finishes the step it is in; who presses Ctrl-C once more does not wait for that."""
    try:
        engine.close()
    except KeyboardInterrupt:
        os._exit(130)  # its thread is inside a native library, which a regular exit would pull away under it
