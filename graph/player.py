"""Playing single scenes with one engine, so that each ends as a record or as a failure with a name."""

import asyncio
import time
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from graph.build import ReplayGraph, build_graph, build_replay
from graph.plan import Job
from graph.play import play
from graph.replay import replayed
from graph.store import Outcome
from graph.thread import Resumed, Thread
from graph.under_way import UnderWay, names_of
from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, Engine, GenerationRequest
from prompts import OURS, PromptSet
from scene.errors import (
    EngineError,
    EngineGoneError,
    InputError,
    MonopolylogueError,
    PromptTooLongError,
    ReplyError,
)
from scene.export import Failure
from scene.nouns import ModelIdentity
from scene.record import ModelCall, NodeCost, ReplayFailure, SceneRecord
from scene.state import SceneState

SCENE_SECONDS = 7200.0
"""How long a scene may take. On two CPU cores, sixteen at once share what one alone has in minutes."""

SIGN_OF_LIFE_SECONDS = 300.0
"""How long an engine that is in doubt may take for one word, its other work included. Little time for a scene
makes no engine faster, so it does not depend on that."""

SCENE_FAULTS = (
    MonopolylogueError, ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What ends one scene and no other: a reply, a question, or a mistake of ours that only this scene met."""

REQUESTS_PER_SCENE = 4
"""Requests that a scene has under way at its busiest, with the default cast."""

Spend = Callable[[ModelCall | NodeCost], None]
"""Told of tokens that were read and written for a scene."""


class ReplayInterruptedError(EngineError):
    """The engine failed in a replay and goes on; the scene itself is whole."""

    def __init__(self, reason: str, record: SceneRecord) -> None:
        self.record = record
        super().__init__(reason)

    def __reduce__(self) -> tuple[object, ...]:
        """What it is made from: pickle would hand the reason alone to the constructor."""
        return ReplayInterruptedError, (str(self), self.record)


class ScenePlayer(Protocol):
    """Where scenes are played: with one engine in this process, or in many others."""

    @property
    def identity(self) -> ModelIdentity:
        """Which model plays."""

    @property
    def scenes_at_once(self) -> int:
        """How many scenes under way keep it busy."""

    async def play(self, job: Job, on_spent: Spend | None = None) -> Outcome:
        """Play one scene; see `Player.play`."""

    def close(self) -> None:
        """Free the model. Scenes under way fail with `EngineError`."""


class Player:
    """Plays scenes with one engine, any number at once.

    Args:
        verify: Play each scene again on its final answer; see `graph.replay`.
        scene_seconds: How long a scene may take, its replay included, before it is given up.

    Attributes:
        under_way: Where scenes under way are kept, once somebody has set it.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        keep_calls: bool = True,
        verify: bool = False,
        scene_seconds: float = SCENE_SECONDS,
        prompt_set: PromptSet = OURS,
    ) -> None:
        self._engine, self.identity, self._prompts = engine, engine.identity, prompt_set
        self.scenes_at_once = max(1, engine.requests_at_once // REQUESTS_PER_SCENE)
        model = EngineChatModel(engine=engine)
        self._graph = build_graph(model, prompt_set=prompt_set)
        self._replay = build_replay(model, prompt_set=prompt_set) if verify else None
        self._keep_calls = keep_calls
        self._seconds = scene_seconds
        self.under_way: UnderWay | None = None

    async def play(
        self, job: Job, on_spent: Spend | None = None, on_state: Callable[[SceneState], None] | None = None
    ) -> Outcome:
        """Play one scene. A replay that fails leaves the scene as it is, with the reason.

        Raises:
            InputError: The engine would refuse every scene, as a server does that asks for another key.
            EngineGoneError: The engine answers nothing any more.
            EngineError: The engine failed and goes on; this scene may be the reason, or another one that
                shared its batch. It is a `ReplayInterruptedError` where the scene itself is whole.
        """
        started = time.perf_counter()
        record = job.played
        try:
            async with asyncio.timeout(self._seconds) as watchdog:
                if record is None:
                    record = await self._scene(job, on_spent, on_state)
                if self._replay is None:
                    return record
                return await self._again(self._replay, job, record, on_spent)
        except OSError as error:  # TimeoutError is one: the watchdog's, or somebody else's
            fault: Exception = error
            if isinstance(error, TimeoutError) and watchdog.expired():
                included = "" if record is None else ", its replay included"
                fault = TimeoutError(f"the scene was given up after {self._seconds:g} seconds{included}")
            await self.expect_life("The engine no longer answers.")
        except EngineError as error:
            await self.expect_life(f"The engine died. {error}")
            if record is not None:
                raise ReplayInterruptedError(str(error), record) from error
            raise
        except InputError as error:  # this question, or every question
            await self.expect_life("The engine died.")
            fault = error
        except SCENE_FAULTS as error:
            fault = error
        return broken_off(job, record, fault, time.perf_counter() - started)

    async def _scene(
        self, job: Job, on_spent: Spend | None, on_state: Callable[[SceneState], None] | None
    ) -> SceneRecord:
        thread, graph = await self._thread(names_of(job.id, job.attempt)[0]), self._graph
        if thread is not None:
            model = self._resumed(thread)
            graph = build_graph(model, checkpointer=thread.saver, prompt_set=self._prompts)
        return await play(
            graph,
            job.question.text,
            model=self._engine.identity,
            history=job.question.history,
            system=job.question.system,
            first_answer=job.question.first_answer,
            settings=replace(job.settings, seed=job.settings.seed + job.attempt),
            given=job.given,
            prompt_set=self._prompts,
            keep_calls=self._keep_calls,
            record_id=job.id,
            question_id=job.question.id,
            kind=job.question.kind,
            on_state=on_state,
            on_call=on_spent,
            thread=thread,
        )

    async def _again(
        self, graph: ReplayGraph, job: Job, record: SceneRecord, on_spent: Spend | None
    ) -> SceneRecord:
        thread = await self._thread(names_of(job.id, job.attempt)[1])
        if thread is not None:
            model = self._resumed(thread)
            graph = build_replay(model, checkpointer=thread.saver, prompt_set=self._prompts)
        return await replayed(
            graph,
            record,
            model=self._engine.identity,
            prompt_set=self._prompts,
            keep_calls=self._keep_calls,
            on_call=on_spent,
            thread=thread,
        )

    async def _thread(self, name: str) -> Thread | None:
        return None if self.under_way is None else await self.under_way.thread(name)

    def _resumed(self, thread: Thread) -> EngineChatModel:
        return EngineChatModel(engine=Resumed(self._engine, thread))

    async def expect_life(self, otherwise: str) -> None:
        """See whether the engine still answers a short request of the kind that scenes are made of.

        Raises:
            InputError: It refuses that too, so it would refuse every scene.
            EngineGoneError: It does not answer.
        """
        request = GenerationRequest(
            messages=(ChatMessage("user", "Say yes."),), max_tokens=16, choices=("yes", "no")
        )
        try:
            async with asyncio.timeout(SIGN_OF_LIFE_SECONDS):
                await self._engine.generate(request)
        except (EngineError, OSError) as error:
            raise EngineGoneError(otherwise) from error

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


def broken_off(job: Job, record: SceneRecord | None, fault: Exception, seconds: float) -> Outcome:
    """What is recorded of a scene that broke off, or whose replay did."""
    what: dict[str, Any] = {"error": type(fault).__name__, "reason": _reason(fault)}
    if isinstance(fault, ReplyError | PromptTooLongError):
        what |= {"reason": fault.reason, "node": fault.node, "role": fault.role, "turn": fault.turn}
    if record is not None:
        return record.model_copy(update={"replay_failure": ReplayFailure(**what)})
    return Failure(
        id=job.id,
        question_id=job.question.id,
        kind=job.question.kind,
        question=job.question.text,
        history=job.question.history,
        system=job.question.system,
        first_answer=job.question.first_answer,
        **what,
        retries=job.settings.retries if isinstance(fault, ReplyError) else 0,
        attempt=job.attempt,
        seed=job.settings.seed + job.attempt,
        seconds=round(seconds, 3),
    )


def _reason(fault: Exception) -> str:
    """What was wrong; for a mistake of ours, with the place where it came up."""
    said = str(fault).strip() or type(fault).__name__
    if isinstance(fault, MonopolylogueError):
        return said
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{said} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else said
