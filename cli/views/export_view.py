"""How an export goes: a bar with figures on a terminal, a line now and then anywhere else."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.views.console import is_live
from graph.plan import Job
from graph.store import Outcome
from scene.export import Counts, Failure, Totals
from scene.folding import FoldingTable
from scene.record import ModelCall, NodeCost, SceneRecord

LINE_SECONDS = 30
"""How often a line is printed where there is no terminal."""

BAR_WIDTH = 60


class ExportView:
    """Hand it to `graph.batch.run_batch` as its watcher.

    Args:
        console: Where to show it.
        counts: Where the questions stand at the beginning.
        left: Scenes to be played.
    """

    def __init__(self, console: Console, counts: Counts, left: int) -> None:
        """Show nothing yet."""
        self._console = console
        self._questions = counts.questions
        self._left = self._all = left
        self._failed = counts.questions - counts.done - left  # those that are left alone
        self._running = self._ended = 0
        self._calls = self._prompt = self._cached = self._completion = 0
        self._whole, self._took = 0, Totals()  # scenes that came to their end, and what they took
        self._started = self._said = time.monotonic()
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if is_live(console)
            else None
        )

    def began(self, job: Job) -> None:
        """A scene begins."""
        self._running += 1

    def spent(self, cost: ModelCall | NodeCost) -> None:
        """Count calls and tokens."""
        self._calls += cost.calls if isinstance(cost, NodeCost) else 1
        self._prompt += cost.prompt_tokens
        self._cached += cost.cached_tokens
        self._completion += cost.completion_tokens
        self._say_now_and_then()

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """Count a scene that is over."""
        self._running -= 1
        if outcome is None:
            return
        self._left -= 1
        self._ended += 1
        self._failed += isinstance(outcome, Failure)
        if isinstance(outcome, SceneRecord):
            self._whole += 1
            self._took = self._took.plus(outcome)
        self._say_now_and_then()

    def _say_now_and_then(self) -> None:
        """Print a line where there is no terminal: the last one, and one every `LINE_SECONDS` before it."""
        if self._live is None and (not self._left or time.monotonic() - self._said >= LINE_SECONDS):
            self._said = time.monotonic()
            self._console.print(self.line(), soft_wrap=True)

    def line(self) -> str:
        """All figures in one line."""
        return f"{self._state()} · {self._pace()}"

    def __enter__(self) -> Self:
        """Show the bar."""
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._live is not None:
            self._live.stop()

    def _render(self) -> RenderableType:
        table = FoldingTable.grid()
        table.add_row(ProgressBar(self._questions, self._questions - self._left, width=BAR_WIDTH))
        table.add_row(Text(self._state()))
        table.add_row(Text(self._pace(), "dim"))
        return table

    def _state(self) -> str:
        done = self._questions - self._left - self._failed
        return f"{done:,} of {self._questions:,} done · {self._failed:,} failed · {self._running:,} running"

    def _pace(self) -> str:
        """Scenes an hour and the time left by what this run played; tokens a second by its calls."""
        seconds = max(time.monotonic() - self._started, 0.001)
        played = self._played()
        parts = []
        if played:
            parts.append(f"{played / seconds * 3600:,.0f} scenes/h")
        parts.append(f"{self._completion / seconds:,.0f} tokens/s")
        if self._cached:  # an engine that does not know says none
            parts.append(f"prefix cache {self._cached / self._prompt:.0%}")
        if played:
            parts.append(f"{_duration((self._all - played) * seconds / played)} left")
        return " · ".join(parts)

    def _played(self) -> float:
        """Scenes that ended, and what the calls of those under way make of one; 0 until one has ended.

        Scenes side by side end late and together: by those that ended alone, the first lines would promise
        ten times the time.
        """
        if not self._took.calls:
            return self._ended
        under_way = self._calls * self._whole / self._took.calls - self._ended
        return self._ended + min(max(under_way, 0.0), self._running)


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
