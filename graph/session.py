"""A scene that is stepped through: it stops before every node, goes back, takes changes, stays on disk."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.graph import START
from langgraph.types import Overwrite, StateSnapshot
from pydantic import ValidationError

from graph.build import SceneGraph, build_graph
from graph.play import record_of
from graph.recorder import NODES, Recorder, position
from graph.session_file import SessionTables, check_unchanged, new_path, other_version
from inference.chat_model import EngineChatModel
from inference.engine import Engine
from prompts import OURS, PromptSet
from scene.edit import changed, faults
from scene.errors import InputError
from scene.nouns import RoleId
from scene.record import ModelCall, SceneRecord, costs, scene_id
from scene.settings import SceneSettings
from scene.state import SceneInput, SceneState
from scene.turn import acting

THREAD = "scene"
"""A session's file has one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where a scene stands."""

    state: SceneState
    node: str | None
    acting: tuple[RoleId, ...]
    checkpoint: str

    def __str__(self) -> str:
        if self.node is None:
            return "at the end"
        turns = ("role_action", "modulator_routing", "modulator_update")
        return f"turn {self.state.turn}, before {self.node}" if self.node in turns else f"before {self.node}"


class Session:
    """One scene and its checkpoints; `opened` makes it."""

    def __init__(self, graph: SceneGraph, tables: SessionTables, prompt_set: PromptSet) -> None:
        self._prompts = prompt_set
        self.info = tables.info
        self._graph = graph
        self._tables = tables
        self._settings = SceneSettings(**self.info.settings)  # type: ignore[arg-type]  # checked by it
        self.stop: Stop

    @classmethod
    @asynccontextmanager
    async def opened(cls, path: Path, engine: Engine, prompt_set: PromptSet = OURS) -> AsyncIterator[Self]:
        """The session of a file, where it was left; a new one stands before the first node.

        Raises:
            InputError: The file is no session, or one that another model or other prompts play.
        """
        async with AsyncSqliteSaver.from_conn_string(str(path)) as saver:
            tables = await SessionTables.of(saver.conn, path)
            check_unchanged(tables.info, engine.identity, prompt_set)
            if tables.info.at is None:
                await tables.begin(engine.identity, prompt_set)
            graph = build_graph(EngineChatModel(engine=engine), checkpointer=saver, prompt_set=prompt_set)
            session = cls(graph, tables, prompt_set)
            info = session.info
            if info.at is None:
                start = SceneInput(
                    question=info.question, first_answer=info.first_answer, **info.given.channels
                )
                await session._run(start, _config(), Recorder())
            try:
                await session._move(_config(session.info.at), broke_off=session.info.broke_off)
            except ValidationError as error:
                raise other_version(path) from error
            yield session

    async def step(self, on_call: Callable[[ModelCall], None] | None = None) -> None:
        """Run the next node, for every role that it is for.

        Raises:
            ReplyError: A reply could not be used after every retry. The scene stands where it stood.
            EngineError: The engine failed. So it does.
        """
        newest = _id((await self._graph.aget_state(_config())).config)
        config = _config(None if newest == self.stop.checkpoint else self.stop.checkpoint)
        recorder = Recorder(on_call)
        started = time.perf_counter()
        async with self._tables.whole():
            try:
                await self._run(None, config, recorder)
            finally:
                await self._arrive(newest, time.perf_counter() - started, recorder.ended)

    async def back(self) -> bool:
        """Go back to before the last node or change; False at the beginning. What came after stays there."""
        snapshot = await self._graph.aget_state(_config(self.stop.checkpoint))
        if snapshot.parent_config is None:
            return False
        before = await self._graph.aget_state(snapshot.parent_config)
        if before.next == ("__start__",):
            return False
        async with self._tables.whole():
            await self._move(before.config)
        return True

    async def edit(self, state: SceneState) -> None:
        """Put another state in the place of this one; what runs next follows from it."""
        changes = changed(self.stop.state, state)
        if "proposals" in changes:
            changes["proposals"] = Overwrite(changes["proposals"])
        if changes:
            config = _config(self.stop.checkpoint)
            async with self._tables.whole():
                await self._move(await self._graph.aupdate_state(config, changes, as_node=_before(self.stop)))

    async def fork(self) -> str:
        """Copy the session, as it stands, to a new one; this one goes on as it was.

        Returns its id.

        Raises:
            InputError: The folder of sessions can't be written.
        """
        path = new_path()
        await self._tables.copy(path)
        return path.stem

    async def calls(self) -> list[ModelCall]:
        """The model calls that led here, in a fixed order; then those of a step from here that broke off.

        Of these the one that ended last comes last: it mostly is why.
        """
        _, calls, _ = await self._past()
        if not self._tables.info.broke_off:
            return calls
        _, broken = await self._tables.kept(self.stop.checkpoint)
        return calls + broken

    async def record(self) -> SceneRecord | None:
        """The record of the scene; None before its end.

        Raises:
            InputError: A change by hand left out what a record needs.
        """
        state, model = self.stop.state, self.info.played_by
        if self.stop.node is not None:
            return None
        assert model is not None  # `opened` sees to that
        seconds, calls, edit = await self._past()
        try:
            return record_of(
                state,
                state.settings or self._settings,
                model,
                record_id=scene_id(
                    self.info.question,
                    self.info.first_answer,
                    self._settings,
                    model,
                    self._prompts.digest(),
                    question_id=edit,  # an edited scene is another scene
                    given=self.info.given,
                ),
                given=self.info.given,
                prompt_set=self._prompts,
                seconds=sum(seconds.values()),
                cost=costs(calls, {node: [(0.0, seconds[node])] for node in NODES if node in seconds}),
                calls=calls,
                edited=edit is not None,
            )
        except ValidationError as error:
            raise InputError(f"This makes no record: {faults(error)}") from error

    async def _run(self, start: SceneInput | None, config: RunnableConfig, recorder: Recorder) -> None:
        config = {**config, "callbacks": [recorder]}
        begun = start is None and self.stop.state.settings is not None  # the scene has its own
        context = None if begun else self._settings
        async for _ in self._graph.astream(
            start, config, context=context, interrupt_before="*", durability="sync"
        ):
            pass

    async def _arrive(self, newest: str, seconds: float, calls: list[ModelCall]) -> None:
        """Stand where a node left the scene, and keep its calls by the checkpoint it ran from.

        That is a copy where it was not the newest one: so LangGraph goes on from an older checkpoint.
        """
        snapshot = await self._graph.aget_state(_config())
        if _id(snapshot.config) == newest:  # it broke off
            await self._tables.keep(self.stop.checkpoint, seconds, calls)
            await self._tables.stand(self.stop.checkpoint, str(self.stop), broke_off=True)
            return
        done = (snapshot.metadata or {}).get("source") == "loop"
        ran_from = snapshot.parent_config if done and snapshot.parent_config else snapshot.config
        await self._tables.keep(_id(ran_from), seconds, calls)
        await self._move(snapshot.config, broke_off=not done)

    async def _move(self, config: RunnableConfig, *, broke_off: bool = False) -> None:
        """Stand at a checkpoint once that is remembered."""
        stop = _stop(await self._graph.aget_state(config))
        await self._tables.stand(stop.checkpoint, str(stop), broke_off=broke_off)
        self.stop = stop

    async def _past(self) -> tuple[dict[str, float], list[ModelCall], str | None]:
        """Seconds by node and calls of every step on the way here, and the last change by hand if any."""
        seconds: dict[str, float] = {}
        calls: list[ModelCall] = []
        edit: str | None = None
        found = await self._graph.aget_state(_config(self.stop.checkpoint))
        while found.parent_config is not None:
            source = (found.metadata or {}).get("source")
            if source == "update" and edit is None:
                edit = _id(found.config)
            if source == "loop":
                took, own = await self._tables.kept(_id(found.parent_config))
                calls += own
                for node in {call.node for call in own}:
                    seconds[node] = seconds.get(node, 0.0) + took
            found = await self._graph.aget_state(found.parent_config)
        return seconds, sorted(calls, key=position), edit


def _config(checkpoint: str | None = None) -> RunnableConfig:
    """Names a checkpoint; the newest one when None."""
    values = {"thread_id": THREAD, "checkpoint_ns": ""}
    return {"configurable": values if checkpoint is None else {**values, "checkpoint_id": checkpoint}}


def _stop(snapshot: StateSnapshot) -> Stop:
    state = SceneState.model_validate(snapshot.values)
    node = snapshot.next[0] if snapshot.next else None
    who: dict[str | None, Any] = {
        "role_action": acting(state) if node == "role_action" else (),
        "modulator_routing": [proposal.actor for proposal in state.proposals],
        "modulator_update": [event.actor for event in state.rulings],
    }
    return Stop(state=state, node=node, acting=tuple(who.get(node, ())), checkpoint=_id(snapshot.config))


def _before(stop: Stop) -> str:
    """The node that left the state in which a scene stands."""
    if stop.node in (
        "role_action",
        "summarize",
    ):  # the first turn too: with nobody to act, the summary is next
        return "modulator_update"
    place = NODES.index(stop.node) if stop.node else len(NODES)
    return NODES[place - 1] if place else START


def _id(config: RunnableConfig) -> str:
    return str(config["configurable"]["checkpoint_id"])
