"""A training as it goes: what became of the rows, then a bar with loss, rate and time left."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cli.views.console import is_live

if TYPE_CHECKING:
    from finetune.encoding import Lengths
    from finetune.training import Step

PLAIN_SECONDS = 30
"""Where there is no terminal, a line is written every so often."""


class TrainingView:
    """Hand `rows` and `step` to `finetune.train.train`."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self._console = console
        self._quiet = quiet
        self._mentioned = time.monotonic()
        self._progress = Progress(
            TextColumn("step"),
            MofNCompleteColumn(),
            BarColumn(),
            TextColumn("{task.description}", markup=False),
            console=console,
            transient=True,
            disable=quiet or not is_live(console),
        )
        self._task = self._progress.add_task("", total=None)

    def rows(self, lengths: dict[str, Lengths]) -> None:
        """Say what became of the rows."""
        for name, own in {} if self._quiet else lengths.items():
            line = f"{name}: {own.rows:,} rows, {own.tokens:,} tokens, {own.counted:,} of them learned"
            if own.unlearned:
                line += f"; {own.unlearned:,} of the rows are to be avoided"
            if own.truncated:
                line += f"; {own.truncated:,} cut to fit"
            self._console.print(line, style="dim", soft_wrap=True)
            if own.dropped:
                self._console.print(
                    f"{name}: left out {own.too_long()} of {own.rows + own.dropped:,} rows, since their "
                    "prompt alone is too long; a larger --max-length takes them in.",
                    soft_wrap=True,
                )
        self._progress.start()

    def step(self, step: Step) -> None:
        """Move the bar."""
        loss = "" if step.loss is None else f"loss {step.loss:.3f}, "
        left = timedelta(seconds=round(step.seconds_left))
        doing = f"{loss}{step.tokens_per_second:,.0f} tokens/s, {left} left"
        self._progress.update(self._task, completed=step.step, total=step.steps, description=doing)
        now = time.monotonic()
        plain = self._progress.disable and not self._quiet
        if plain and (now - self._mentioned >= PLAIN_SECONDS or step.step == step.steps):
            self._mentioned = now
            self._console.print(f"step {step.step} of {step.steps}: {doing}", style="dim", soft_wrap=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
