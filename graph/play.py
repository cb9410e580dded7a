"""Playing one scene from a question to its record."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from types import MappingProxyType
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from pydantic import BaseModel

from graph.build import SceneGraph
from graph.recorder import Recorder
from graph.thread import Thread
from prompts import OURS, PromptSet
from scene.cast import IMAGINED, Given
from scene.conversation import Conversation
from scene.nouns import Kind, ModelIdentity, Turn
from scene.record import ModelCall, NodeCost, SceneRecord, record_settings, scene_id
from scene.settings import SceneSettings
from scene.state import SceneInput, SceneState, check_answer, check_history, check_question, check_system

PACKAGES = (
    "ik-llama-cpp-python", "langchain-core", "langchain-openai", "langgraph", "monopolylogue", "torch",
    "transformers", "xgrammar",
)  # fmt: skip
"""Packages whose versions a record names, where they are installed."""

RECORDED = SceneState.model_fields.keys() & SceneRecord.model_fields.keys() - {"settings"}
"""Channels that a record keeps as they are."""


async def play(
    graph: SceneGraph,
    question: str,
    *,
    model: ModelIdentity,
    history: Sequence[Turn] = (),
    system: str = "",
    first_answer: str = "",
    settings: SceneSettings | None = None,
    given: Given = IMAGINED,
    prompt_set: PromptSet = OURS,
    keep_calls: bool = True,
    record_id: str | None = None,
    question_id: str | None = None,
    kind: Kind | None = None,
    on_state: Callable[[SceneState], None] | None = None,
    on_call: Callable[[ModelCall], None] | None = None,
    thread: Thread | None = None,
) -> SceneRecord:
    """Play a scene to its end.

    A first answer is rehearsed instead of the model's own. Model, prompts, question id and kind are for the
    record, which gets its `scene_id` where no id is given. `on_state` is told the state after every step of
    the graph. A scene that stands in `thread` goes on.

    Raises:
        InputError: The question is empty, the turns before it don't alternate, or something is too long.
        ReplyError: A reply of the model could not be used after every retry.
        EngineError: The engine failed.
    """
    settings = settings or SceneSettings()
    question, first_answer = check_question(question), check_answer(first_answer)
    before = Conversation(question, tuple(check_history(history)), check_system(system))
    start = SceneInput(
        question=question,
        history=[*before.history],
        system=before.system,
        first_answer=first_answer,
        **given.channels,
    )
    state, recorder = await unfold(graph, start, settings, on_state, on_call, thread)
    return record_of(
        state,
        settings,
        model,
        record_id=record_id
        or scene_id(
            question, first_answer, settings, model, prompt_set.digest(), context=before, given=given
        ),
        given=given,
        prompt_set=prompt_set,
        question_id=question_id,
        kind=kind,
        seconds=time.perf_counter() - recorder.began,
        cost=recorder.costs(),
        calls=recorder.calls if keep_calls else None,
    )


def record_of(
    state: SceneState,
    settings: SceneSettings,
    model: ModelIdentity,
    *,
    record_id: str,
    given: Given = IMAGINED,
    prompt_set: PromptSet = OURS,
    question_id: str | None = None,
    kind: Kind | None = None,
    seconds: float,
    cost: dict[str, NodeCost],
    calls: Sequence[ModelCall] | None,
    edited: bool = False,
) -> SceneRecord:
    """The record of a scene that has ended."""
    assert state.outcome is not None  # the graph only ends by way of summarize and revise
    return SceneRecord(
        id=record_id,
        question_id=question_id,
        kind=kind,
        **{name: getattr(state, name) for name in RECORDED},
        seed=settings.seed,
        settings=record_settings(settings),
        model=model,
        prompt_digest=prompt_set.digest(),
        prompt_folder=prompt_set.folder,
        given=given.among(state.cast),
        versions=dict(versions()),
        seconds=round(seconds, 3),
        cost=cost,
        calls=None if calls is None else tuple(calls),
        edited=edited,
    )


async def unfold(
    graph: CompiledStateGraph[SceneState, SceneSettings, Any, Any],
    start: BaseModel,
    settings: SceneSettings,
    on_state: Callable[[SceneState], None] | None = None,
    on_call: Callable[[ModelCall], None] | None = None,
    thread: Thread | None = None,
) -> tuple[SceneState, Recorder]:
    """The state that a graph ends with, from its input or where its thread stands; and what was recorded."""
    stands = await thread.stands(graph) if thread is not None else None
    recorder = Recorder(on_call, thread)
    if stands is not None and not stands.tasks:  # what `next` leaves out may have run since the checkpoint
        return SceneState.model_validate(stands.values), recorder
    config: RunnableConfig = {"callbacks": [recorder], **(thread.config if thread is not None else {})}
    state: SceneState | None = None
    async for values in graph.astream(
        {name: getattr(start, name) for name in start.model_fields_set} if stands is None else None,
        config,
        context=settings,
        stream_mode="values",
        output_keys=list(SceneState.model_fields),
    ):
        state = SceneState.model_validate(values)
        if on_state is not None:
            on_state(state)
    assert state is not None
    return state, recorder


@cache
def versions() -> Mapping[str, str]:
    """Versions of the packages that a scene depends on; looked up once, since that takes a while."""
    found = {}
    for package in PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return MappingProxyType(found)
