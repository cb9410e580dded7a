"""What the command says to the user beside its output: always one line, always on standard error."""

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from scene.text import one_line

MANY_FAILED = 3
"""Exit code of an export in which more than a tenth of the scenes failed."""


def complain(sentence: str) -> None:
    """Say what is wrong. Names and paths in it are the user's own, so it is cleaned first."""
    typer.echo(f"monopolylogue: {one_line(sentence)}", err=True)


def interrupted(kept: str) -> typer.Exit:
    """Say that Ctrl-C was heard and, in a sentence, what was kept; raise what this returns."""
    typer.echo(one_line(f"Interrupted. {kept}"), err=True)
    return typer.Exit(130)


@contextmanager
def interruptible(kept: str) -> Iterator[None]:
    """Say in a sentence what was kept where Ctrl-C ends what is done meanwhile."""
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(kept) from None
