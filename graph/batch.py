"""Playing many scenes at once, so that each ends as a record or as a failure with a name."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from graph.plan import Job
from graph.player import ReplayInterruptedError, ScenePlayer, broken_off
from graph.store import Outcome
from graph.width import Width
from nodes.together import siblings
from scene.errors import EngineError, EngineGoneError, TooManyFailuresError
from scene.export import Failure
from scene.record import ModelCall, NodeCost


class Watcher(Protocol):
    """Who is told how a batch goes."""

    def began(self, job: Job) -> None:
        """A scene begins."""

    def spent(self, job: Job, cost: ModelCall | NodeCost) -> None:
        """Tokens were read and written for a scene."""

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """A scene's outcome is kept; None when the scene is put off."""


async def run_batch(
    jobs: Iterable[Job],
    player: ScenePlayer,
    keep: Callable[[Outcome], Awaitable[None]],
    watcher: Watcher,
    *,
    concurrency: int,
    measured: bool = False,
    wide: bool = False,
    max_failures: int | None = None,
) -> None:
    """Play every job; return when the outcome of each has been kept.

    A scene that was under way when the engine failed is put off and played alone at the end, so that one
    question that brings the engine down does not take others with it. Of one that was in its replay, the
    replay alone is put off. Where `measured`, fewer play at once than `concurrency` if more gain nothing,
    and where not `wide` it begins with few.

    Raises:
        EngineGoneError: The engine died. The scenes under way have no outcome.
        InputError: The engine refuses every scene.
        TooManyFailuresError: So many failed.
        ExportError: An outcome can't be kept.
    """
    width = Width(concurrency, measured=measured, wide=wide)
    batch = _Batch(iter(jobs), player, keep, watcher, width, max_failures)
    async with siblings() as group:
        batch.fill(group)
    await batch.play_put_off()


@dataclass(slots=True)
class _Batch:
    """The state that the workers of one batch share."""

    _jobs: Iterator[Job]
    _player: ScenePlayer
    _keep: Callable[[Outcome], Awaitable[None]]
    _watcher: Watcher
    _width: Width
    _max_failures: int | None
    _workers: int = 0
    _failures: int = 0
    _put_off: deque[Job] = field(default_factory=deque)

    def fill(self, group: asyncio.TaskGroup) -> None:
        """Have as many play as should."""
        while self._workers < self._width.now:
            self._workers += 1
            group.create_task(self._work(group))

    async def _work(self, group: asyncio.TaskGroup) -> None:
        """Play one job after the other until none is left, or too many play."""
        for job in self._jobs:
            await self._one(job, alone=False)
            self._width.ended(self._workers)
            self.fill(group)
            if self._workers > self._width.now:
                break
        self._workers -= 1

    async def play_put_off(self) -> None:
        """Play what was put off, one at a time."""
        while self._put_off:
            await self._one(self._put_off.popleft(), alone=True)

    async def _one(self, job: Job, *, alone: bool) -> None:
        self._watcher.began(job)
        started = time.perf_counter()
        try:
            outcome = await self._player.play(job, partial(self._spent, job))
        except EngineGoneError:
            raise
        except EngineError as error:
            fault = error
            if isinstance(error, ReplayInterruptedError):
                job, fault = replace(job, played=error.record), EngineError(str(error))
            if not alone:
                self._put_off.append(job)
                self._watcher.ended(job, None)
                return
            outcome = broken_off(job, job.played, fault, time.perf_counter() - started)
        await self._keep(outcome)
        self._watcher.ended(job, outcome)
        if isinstance(outcome, Failure):
            self._failures += 1
            if self._failures == self._max_failures:
                raise TooManyFailuresError(f"{self._failures:,} scenes failed, as many as were allowed to.")

    def _spent(self, job: Job, cost: ModelCall | NodeCost) -> None:
        self._width.spent(cost)
        self._watcher.spent(job, cost)
