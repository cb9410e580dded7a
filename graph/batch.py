"""Playing many scenes at once over one engine, so that each ends as a record or as a failure with a name."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from graph.build import build_graph
from graph.plan import Job
from graph.play import play
from graph.store import Outcome
from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, Engine, GenerationRequest
from scene.errors import (
    EngineError,
    EngineGoneError,
    InputError,
    MonopolylogueError,
    ReplyError,
    TooManyFailuresError,
)
from scene.export import Failure
from scene.record import ModelCall, NodeCost

SCENE_SECONDS = 7200.0
"""How long a scene may take. On two CPU cores, sixteen at once share what one alone has in minutes."""

SIGN_OF_LIFE_SECONDS = 300.0
"""How long an engine that is in doubt may take for one word, its other work included."""

SCENE_FAULTS = (
    MonopolylogueError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
"""What ends one scene and no other: a reply, a question, or a mistake of ours that only this scene met."""


class Watcher(Protocol):
    """Who is told how a batch goes."""

    def began(self, job: Job) -> None:
        """A scene begins."""

    def spent(self, cost: ModelCall | NodeCost) -> None:
        """Tokens were read and written for a scene."""

    def ended(self, job: Job, outcome: Outcome | None) -> None:
        """A scene's outcome is kept; None when the scene is put off."""


class Player:
    """Plays scenes with one engine, any number at once.

    Args:
        engine: The engine.
        keep_calls: Keep every model call in the records.
        scene_seconds: How long a scene may take before it is given up.
    """

    def __init__(
        self, engine: Engine, *, keep_calls: bool = True, scene_seconds: float = SCENE_SECONDS
    ) -> None:
        """Build the graph."""
        self._engine = engine
        self._graph = build_graph(EngineChatModel(engine=engine))
        self._keep_calls = keep_calls
        self._seconds = scene_seconds

    async def play(self, job: Job, on_call: Callable[[ModelCall], None] | None = None) -> Outcome:
        """Play one scene.

        Raises:
            InputError: The engine would refuse every scene, as a server does that asks for another key.
            EngineGoneError: The engine answers nothing any more.
            EngineError: The engine failed and goes on; this scene may be the reason, or another one that
                shared its batch.
        """
        started = time.perf_counter()
        settings = replace(job.settings, seed=job.settings.seed + job.attempt)
        try:
            async with asyncio.timeout(self._seconds) as watchdog:
                return await play(
                    self._graph,
                    job.question.text,
                    model=self._engine.identity,
                    first_answer=job.question.first_answer,
                    settings=settings,
                    keep_calls=self._keep_calls,
                    record_id=job.id,
                    question_id=job.question.id,
                    kind=job.question.kind,
                    on_call=on_call,
                )
        except TimeoutError:
            if not watchdog.expired():
                raise
            await self._expect_life("The engine no longer answers.")
            fault: Exception = TimeoutError(f"the scene was given up after {self._seconds:g} seconds")
        except EngineError as error:
            await self._expect_life(f"The engine died. {error}")
            raise
        except InputError as error:  # this question, or every question
            await self._expect_life("The engine died.")
            fault = error
        except SCENE_FAULTS as error:
            fault = error
        return failure(job, fault, time.perf_counter() - started)

    async def _expect_life(self, otherwise: str) -> None:
        """See whether the engine still answers a short request of the kind that scenes are made of.

        Raises:
            InputError: It refuses that too, so it would refuse every scene.
            EngineGoneError: It does not answer.
        """
        request = GenerationRequest(
            messages=(ChatMessage("user", "Say yes."),), max_tokens=16, choices=("yes", "no")
        )
        try:
            async with asyncio.timeout(min(self._seconds, SIGN_OF_LIFE_SECONDS)):
                await self._engine.generate(request)
        except (EngineError, TimeoutError) as error:
            raise EngineGoneError(otherwise) from error


def failure(job: Job, fault: Exception, seconds: float) -> Failure:
    """The record of a scene that failed.

    Args:
        job: What was to be played.
        fault: What went wrong.
        seconds: How long it had run.
    """
    reply = fault if isinstance(fault, ReplyError) else None
    return Failure(
        id=job.id,
        question_id=job.question.id,
        kind=job.question.kind,
        question=job.question.text,
        first_answer=job.question.first_answer,
        error=type(fault).__name__,
        reason=reply.reason if reply else _reason(fault),
        node=reply.node if reply else None,
        role=reply.role if reply else None,
        turn=reply.turn if reply else None,
        retries=job.settings.retries if reply else 0,
        attempt=job.attempt,
        seed=job.settings.seed + job.attempt,
        seconds=round(seconds, 3),
    )


async def run_batch(
    jobs: Iterable[Job],
    player: Player,
    keep: Callable[[Outcome], Awaitable[None]],
    watcher: Watcher,
    *,
    concurrency: int,
    max_failures: int | None = None,
) -> None:
    """Play every job; return when the outcome of each has been kept.

    A scene that was under way when the engine failed is put off and played alone at the end, so that one
    question that brings the engine down does not take others with it.

    Args:
        jobs: What to play, in this order.
        player: Plays one job.
        keep: Puts an outcome where it is safe.
        watcher: Told how it goes.
        concurrency: Scenes at once.
        max_failures: Stop once so many have failed.

    Raises:
        EngineGoneError: The engine died. The scenes under way have no outcome.
        InputError: The engine refuses every scene.
        TooManyFailuresError: So many failed.
        ExportError: An outcome can't be kept.
    """
    batch = _Batch(jobs, player, keep, watcher, max_failures)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(concurrency):
                group.create_task(batch.work())
        await batch.play_put_off()
    except ExceptionGroup as error:
        raise error.exceptions[0] from None


class _Batch:
    """The state that the workers of one batch share."""

    def __init__(
        self,
        jobs: Iterable[Job],
        player: Player,
        keep: Callable[[Outcome], Awaitable[None]],
        watcher: Watcher,
        max_failures: int | None,
    ) -> None:
        self._jobs = iter(jobs)
        self._player = player
        self._keep = keep
        self._watcher = watcher
        self._max_failures = max_failures
        self._failures = 0
        self._put_off: deque[Job] = deque()

    async def work(self) -> None:
        """Play one job after the other until none is left."""
        for job in self._jobs:
            await self._one(job, alone=False)

    async def play_put_off(self) -> None:
        """Play what was put off, one at a time."""
        while self._put_off:
            await self._one(self._put_off.popleft(), alone=True)

    async def _one(self, job: Job, *, alone: bool) -> None:
        self._watcher.began(job)
        started = time.perf_counter()
        try:
            outcome = await self._player.play(job, self._watcher.spent)
        except EngineGoneError:
            raise
        except EngineError as error:
            if not alone:
                self._put_off.append(job)
                self._watcher.ended(job, None)
                return
            outcome = failure(job, error, time.perf_counter() - started)
        await self._keep(outcome)
        self._watcher.ended(job, outcome)
        if isinstance(outcome, Failure):
            self._failures += 1
            if self._failures == self._max_failures:
                raise TooManyFailuresError(f"{self._failures:,} scenes failed, as many as were allowed to.")


def _reason(fault: Exception) -> str:
    """What was wrong; for a mistake of ours, with the place where it came up."""
    said = str(fault).strip() or type(fault).__name__
    if isinstance(fault, MonopolylogueError | TimeoutError):
        return said
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else said
