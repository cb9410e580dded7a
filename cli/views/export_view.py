"""How an export goes: a bar with figures on a terminal, a line now and then anywhere else."""

import time
from collections.abc import Mapping
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from cli.views.console import is_live
from cli.views.time_left import TimeLeft
from graph.plan import Job
from graph.store import Outcome
from scene.export import Counts, Failure
from scene.folding import FoldingTable
from scene.record import ModelCall, NodeCost

LINE_SECONDS = 30
"""How often a line is printed where there is no terminal."""

BAR_WIDTH = 60


class ExportView:
    """Hand it to `graph.batch.run_batch` as its watcher."""

    def __init__(
        self,
        console: Console,
        counts: Counts,
        left: int,
        *,
        expected: float,
        known: int,
        under_way: Mapping[str, int],
    ) -> None:
        self._console = console
        self._questions = counts.questions
        self._left = left
        self._failed = counts.questions - counts.done - left  # those that are left alone
        self._running = self._ended = 0
        self._calls = self._prompt = self._cached = self._completion = 0
        self._started = self._said = time.monotonic()
        self._time_left = TimeLeft(left, expected, known, under_way, self._started)
        self._live = (
            Live(console=console, get_renderable=self._render, refresh_per_second=4, transient=True)
            if is_live(console)
            else None
        )

    def began(self, job: Job) -> None:
        """A scene begins."""
        self._running += 1
        self._time_left.began(job.id, time.monotonic())

    def spent(self, job: Job, cost: ModelCall | NodeCost) -> None:
        """Count calls and tokens."""
        calls = cost.calls if isinstance(cost, NodeCost) else 1
        self._calls += calls
        self._time_left.spent(job.id, calls, time.monotonic())
        self._prompt += cost.prompt_tokens
        self._cached += cost.cached_tokens
        self._completion += cost.completion_tokens
        self._say_now_and_then()

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """Count a scene that is over."""
        self._running -= 1
        self._time_left.ended(job.id, put_off=outcome is None)
        if outcome is None:
            return
        self._left -= 1
        self._ended += 1
        self._failed += isinstance(outcome, Failure)
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
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
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
        """Scenes an hour by what this run played, and tokens a second by its calls."""
        now = time.monotonic()
        seconds = max(now - self._started, 0.001)
        played = self._played()
        parts = []
        if played:
            parts.append(f"{played / seconds * 3600:,.0f} scenes/h")
        parts.append(f"{self._completion / seconds:,.0f} tokens/s")
        if self._cached:  # an engine that does not know says none
            parts.append(f"prefix cache {self._cached / self._prompt:.0%}")
        if left := self._time_left.said(now):
            parts.append(left)
        return " · ".join(parts)

    def _played(self) -> float:
        """Scenes that ended, and what the calls of those under way make of one; 0 until one has ended.

        Scenes side by side end late and together: by those that ended alone, the first lines would promise
        a tenth of the scenes.
        """
        of_a_scene = self._time_left.calls_of_a_scene
        if not self._ended or not of_a_scene:
            return self._ended
        under_way = self._calls / of_a_scene - self._ended
        return self._ended + min(max(under_way, 0.0), self._running)
