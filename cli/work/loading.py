"""Loading a model while that is shown, and stopping it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from cli.options import ModelChoice
from cli.views.progress import Loading
from inference.engine import Engine
from inference.loading import load_engine, pinned
from scene.nouns import ModelIdentity

if TYPE_CHECKING:
    from graph.player import ScenePlayer

CLOSING_SECONDS = 10.0
"""How long an engine that is gone is waited for."""


@contextmanager
def loaded(choice: ModelChoice, console: Console) -> Iterator[Engine]:
    """A model that is stopped in the end.

    Raises:
        InputError: It can't be loaded.
    """
    engine = load(choice, console)
    try:
        yield engine
    finally:
        close(engine)


def load(choice: ModelChoice, console: Console) -> Engine:
    """Load a model and show how that goes.

    Raises:
        InputError: It can't be loaded.
    """
    with Loading(console, choice.model) as loading:
        return loader(choice)(on_progress=loading)


def loader(choice: ModelChoice) -> Callable[..., Engine]:
    """`load_engine` for a model; what else it is to know is given when it is called."""
    how = asdict(choice)
    return partial(load_engine, how.pop("model"), **how)


def is_named(choice: ModelChoice, model: ModelIdentity) -> bool:
    """Whether a choice surely means a model, so that it need not be loaded to see that.

    Which one a server has, only the server tells.
    """
    named = choice.base_url is None and choice.engine in ("auto", model.engine)
    return named and pinned(choice.model) == (model.id, model.revision)


def close(engine: Engine | ScenePlayer) -> None:
    """Stop the engine. It finishes the step it is in; who presses Ctrl-C once more does not wait for that."""
    try:
        engine.close()
    except KeyboardInterrupt:
        os._exit(130)  # its thread is inside a native library, which a regular exit would pull away under it


def close_or_leave(engine: Engine | ScenePlayer) -> None:
    """Close an engine that may hang for good; if it does, end the process under it."""
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(CLOSING_SECONDS)
    if closing.is_alive():
        os._exit(1)
