"""What the command says to the user beside its output: always one line, always on standard error."""

from __future__ import annotations

import typer

from scene.text import one_line

MANY_FAILED = 3
"""Exit code of an export in which more than a tenth of the scenes failed."""


def complain(sentence: str) -> None:
    """Say what is wrong. Names and paths in it are the user's own, so it is cleaned first."""
    typer.echo(f"monopolylogue: {one_line(sentence)}", err=True)


def interrupted(kept: str) -> typer.Exit:
    """Say that Ctrl-C was heard and what was kept; raise what this returns.

    Args:
        kept: One sentence.
    """
    typer.echo(one_line(f"Interrupted. {kept}"), err=True)
    return typer.Exit(130)
