"""What is going on while there is nothing to show: loading a model, waiting for it."""

import time
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from cli.views.console import is_live
from scene.text import one_line

DOING = {"fetch": "Fetching", "convert": "Converting", "load": "Loading"}
DONE = {"fetch": "Fetched", "convert": "Converted", "load": "Loaded"}

PLAIN_PERCENT = 10
"""Where there is no bar, such a stage is mentioned every so many percent."""


class Loading:
    """Shows a model being fetched, converted and loaded; hand it to `load_engine` as `on_progress`.

    Nothing is shown before the first report, so that what others draw while they download stays whole.
    """

    def __init__(self, console: Console, model: str) -> None:
        self._console = console
        self._model = one_line(model)
        self._live = is_live(console)
        self._progress: Progress | None = None
        self._stage = ""
        self._started = 0.0
        self._mentioned = 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Note that `done` of `total` bytes (when fetching) or steps are done."""
        if stage != self._stage:
            self._finish()
            self._begin(stage, done, total)
        if self._progress is not None:
            self._progress.update(self._progress.task_ids[0], completed=done, total=total)
        elif stage == "fetch":
            self._mention(done, total)
        if done >= total and stage in ("convert", "load"):
            self._finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _begin(self, stage: str, done: int, total: int) -> None:
        self._stage, self._started, self._mentioned = stage, time.monotonic(), 0
        doing = f"{DOING[stage]} {self._model}"
        if self._live:
            self._progress = _bar(self._console, stage)
            self._progress.add_task(doing, completed=done, total=total if stage == "fetch" else None)
            self._progress.start()
        else:
            self._say(f"{doing}: {decimal(total)}" if stage == "fetch" else doing)

    def _finish(self) -> None:
        """Leave one line about the stage that ended."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
            self._say(f"{DONE[self._stage]} {self._model} in {time.monotonic() - self._started:.0f} s.")
        self._stage = ""

    def _mention(self, done: int, total: int) -> None:
        percent = 100 * done // max(total, 1)
        if percent >= self._mentioned + PLAIN_PERCENT:
            self._mentioned = percent - percent % PLAIN_PERCENT
            self._say(f"{DOING[self._stage]} {self._model}: {self._mentioned}% of {decimal(total)}")

    def _say(self, line: str) -> None:
        self._console.print(line, style="dim", soft_wrap=True)


def _bar(console: Console, stage: str) -> Progress:
    """A bar with sizes for a download, a spinner for what has no even steps."""
    name = TextColumn("{task.description}", markup=False)
    columns: list[ProgressColumn] = [SpinnerColumn(), name, TimeElapsedColumn()]
    if stage == "fetch":
        columns = [name, BarColumn(None), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()]
    return Progress(*columns, console=console, transient=True, expand=stage == "fetch")


class Working:
    """A status line under what is shown so far; no line at all where there is no terminal.

    It has the console that the scene is shown on, so that the two don't get into each other's way.
    """

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False, style="dim"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not is_live(console),
        )
        self._task = self._progress.add_task("", total=None)

    def say(self, doing: str) -> None:
        """Change the line."""
        self._progress.update(self._task, description=one_line(doing), refresh=True)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
