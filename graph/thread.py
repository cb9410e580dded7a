"""A scene under way as a checkpointer and a list of its calls have it, and going on with it from there."""

import sqlite3
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import StateSnapshot

from inference.engine import Completion, Engine, FinishReason, GenerationRequest, weighs
from scene.nouns import ModelIdentity
from scene.record import ModelCall
from scene.state import SceneState

UNREADABLE = (sqlite3.Error, ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What reading a thread raises that was damaged, or that another version wrote."""

_Asked = tuple[int, tuple[str, ...]]
"""Tells the calls of a scene apart: the seed, which follows from who asks what for the how manieth time, and
what is asked."""


@dataclass(frozen=True, slots=True)
class KeptCall:
    """A model call of a scene under way.

    Attributes:
        began: When, in seconds since the scene began; time in which no process played it is left out.
        ended: The same of its end.
    """

    call: ModelCall
    seed: int
    finish: FinishReason
    began: float
    ended: float

    @property
    def asked(self) -> _Asked:
        """What it is found by."""
        return self.seed, tuple(message.content for message in self.call.prompt)

    @property
    def completion(self) -> Completion:
        """What the engine said."""
        call = self.call
        return Completion(
            text=call.completion,
            thought=call.thought,
            finish_reason=self.finish,
            prompt_tokens=call.prompt_tokens,
            completion_tokens=call.completion_tokens,
            cached_tokens=call.cached_tokens,
            likelihoods=tuple(call.likelihoods),
        )


class Thread:
    """What is kept of one scene, or of its replay; all of it is dropped where reading it fails."""

    def __init__(
        self,
        name: str,
        calls: Sequence[KeptCall],
        saver: BaseCheckpointSaver[Any],
        keep: Callable[[KeptCall], Awaitable[None]],
        drop: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self.calls = calls
        self.saver = saver
        self.keep = keep
        self._drop = drop
        self._name = name
        self._replies: dict[_Asked, list[Completion]] = defaultdict(list)
        for kept in calls:
            self._replies[kept.asked].append(kept.completion)
        self._given: dict[_Asked, int] = defaultdict(int)

    @property
    def config(self) -> RunnableConfig:
        """Names it to LangGraph."""
        return {"configurable": {"thread_id": self._name}}

    @property
    def seconds(self) -> float:
        """How long the scene was played by earlier processes."""
        return max((kept.ended for kept in self.calls), default=0.0)

    async def stands(self, graph: CompiledStateGraph[SceneState, Any, Any, Any]) -> StateSnapshot | None:
        """Where the scene stands; None before its beginning, and where that can't be read."""
        try:
            snapshot = await graph.aget_state(self.config)
            if (snapshot.metadata or {}).get("source", "input") == "input":  # no node has begun
                return None
            SceneState.model_validate(snapshot.values)
        except UNREADABLE as error:
            await self._drop(error)
            self.calls = ()
            self._replies.clear()
            return None
        return snapshot

    def reply(self, request: GenerationRequest) -> Completion | None:
        """What an earlier process was answered, each reply once."""
        asked = request.seed, tuple(message.content for message in request.messages)
        if not self._replies[asked]:
            return None
        self._given[asked] += 1
        return self._replies[asked].pop(0)

    def was_kept(self, seed: int, prompt: Iterable[str]) -> bool:
        """Whether a call that ended was answered with `reply`; asked once about each."""
        asked = seed, tuple(prompt)
        if not self._given[asked]:
            return False
        self._given[asked] -= 1
        return True


class Around:
    """An engine around another one."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.constrains = engine.constrains
        self.weighs = weighs(engine)

    @property
    def identity(self) -> ModelIdentity:
        """The engine's model."""
        return self._engine.identity

    @property
    def requests_at_once(self) -> int:
        """The engine's."""
        return self._engine.requests_at_once

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        return await self._engine.generate(request)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()


class Resumed(Around):
    """An engine that repeats what it said to a scene before the process ended."""

    def __init__(self, engine: Engine, thread: Thread) -> None:
        super().__init__(engine)
        self._thread = thread

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        return self._thread.reply(request) or await super().generate(request)


class Remembering(Around):
    """An engine for one question: what was asked before its scene is not computed again in it.

    Attributes:
        cut_off: The replies that reached their cap.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._said: dict[GenerationRequest, Completion] = {}
        self.cut_off: set[str] = set()

    async def generate(self, request: GenerationRequest) -> Completion:
        """Answer one request; see `Engine.generate`."""
        if (said := self._said.get(request)) is None:
            said = self._said[request] = await super().generate(request)
            if said.finish_reason == "length":
                self.cut_off.add(said.text)
        return said
