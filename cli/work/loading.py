"""Loading a model while that is shown, and stopping it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from rich.console import Console

from cli.options import ModelChoice
from cli.views.progress import Loading
from inference.engine import Engine
from inference.loading import load_engine

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


def close_or_leave(engine: Closable) -> None:
    """Close an engine that may hang for good; if it does, end the process under it."""
    closing = threading.Thread(target=engine.close, daemon=True)
    closing.start()
    closing.join(CLOSING_SECONDS)
    if closing.is_alive():
        os._exit(1)
