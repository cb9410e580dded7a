"""A scene whose tokens are read while they are generated, and one that is left in the middle."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk

from graph import build_graph
from graph.recorder import Recorder
from inference.chat_model import EngineChatModel
from inference.engine import Completion, GenerationRequest, OnText
from inference.lazy import LazyEngine
from inference.scripted import ScriptedEngine
from scene.errors import EngineError
from scene.record import ModelCall
from tests.scripted_scene import player, prompt_of, scene_script

ASKED = {"question": "How can I pay my rent later?"}
Piece = tuple[AIMessageChunk, dict[str, Any]]


async def read(engine: Any, recorder: Recorder | None = None) -> tuple[list[Piece], dict[str, Any]]:
    """The pieces of a scene's replies in the order in which they came, and the scene's end."""
    pieces, state = [], {}
    async for mode, part in build_graph(EngineChatModel(engine=engine)).astream(
        ASKED, {"callbacks": [recorder] if recorder else []}, stream_mode=["messages", "values"]
    ):
        if mode == "messages":
            pieces.append(part)
        else:
            state = part
    return pieces, state


def timeless(calls: list[ModelCall]) -> list[dict[str, Any]]:
    return [{**call.model_dump(), "seconds": 0} for call in calls]


async def test_respond_and_revise_stream_word_by_word() -> None:
    pieces, state = await read(player())
    said: dict[str, list[str]] = defaultdict(list)
    for chunk, metadata in pieces:
        said[metadata["langgraph_node"]].append(chunk.text)
    assert "".join(said["respond"]) == state["first_answer"]
    assert len(said["respond"]) == len(state["first_answer"].split()) + 1
    assert state["answer"] in "".join(said["revise"])
    assert len(said["revise"]) > len(state["answer"].split())


async def test_shaped_replies_come_in_one_piece() -> None:
    engine = player()
    pieces, _ = await read(engine)
    messages: dict[str | None, list[str]] = defaultdict(list)
    for chunk, _ in pieces:
        messages[chunk.id].append(chunk.text)
    assert len(messages) == len(engine.requests)
    shaped = {scene_script(request) for request in engine.requests if request.shaped}
    assert shaped <= {texts[0] for texts in messages.values()}


async def test_a_scene_that_is_watched_is_the_same_and_recorded_the_same() -> None:
    plain, watched = Recorder(), Recorder()
    expected = await build_graph(EngineChatModel(engine=player())).ainvoke(ASKED, {"callbacks": [plain]})
    _, state = await read(player(), watched)
    assert {key: state[key] for key in expected} == expected
    assert timeless(watched.calls) == timeless(plain.calls)
    assert {node: cost.completion_tokens for node, cost in watched.costs().items()} == {
        node: cost.completion_tokens for node, cost in plain.costs().items()
    }


async def test_an_answer_that_was_cut_off_is_seen_to_be() -> None:
    class Cut(ScriptedEngine):
        async def generate(self, request: GenerationRequest) -> Completion:
            if request.shaped:
                return await super().generate(request)
            return Completion(
                text="Talk to your landlord. Then ask the ci",
                finish_reason="length",
                prompt_tokens=5,
                completion_tokens=9,
                cached_tokens=3,
            )

    recorder = Recorder()
    _, state = await read(Cut(scene_script), recorder)
    assert state["first_answer"] == "Talk to your landlord."
    (call,) = [call for call in recorder.calls if call.node == "respond"]
    assert (call.prompt_tokens, call.completion_tokens, call.cached_tokens) == (5, 9, 3)
    assert call.completion.endswith("the ci")


async def test_a_model_that_is_loaded_late_streams() -> None:
    pieces, state = await read(LazyEngine("default", player))
    first = [chunk.text for chunk, metadata in pieces if metadata["langgraph_node"] == "respond"]
    assert len(first) > 2
    assert "".join(first) == state["first_answer"]


async def test_nothing_streams_where_nobody_listens() -> None:
    class Plain(ScriptedEngine):
        async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
            raise AssertionError

    graph = build_graph(EngineChatModel(engine=Plain(scene_script)))
    await graph.ainvoke(ASKED)
    async for _ in graph.astream(ASKED, stream_mode=["values", "updates", "custom"]):
        pass


class Halting(ScriptedEngine):
    """Says the beginning of a revision, then waits for ever or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__(scene_script)
        self.error = error
        self.withdrawn = asyncio.Event()

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        if prompt_of(request) == "respond":
            return await super().stream(request, on_text)
        on_text("Better ")
        try:
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        raise AssertionError


@pytest.mark.parametrize("how", ["break", "close", "cancel"])
async def test_who_leaves_a_scene_withdraws_what_it_asks(how: str) -> None:
    engine = Halting()
    stream = build_graph(EngineChatModel(engine=engine)).astream(ASKED, stream_mode="messages")
    begun = asyncio.Event()

    async def watch(stream: AsyncIterator[Any]) -> None:
        async for chunk, _ in stream:
            if chunk.text == "Better ":
                begun.set()
                if how != "cancel":
                    break

    task = asyncio.create_task(watch(stream))
    await asyncio.wait_for(begun.wait(), 20)
    if how == "cancel":
        task.cancel()
    await asyncio.wait([task])
    if how == "close":
        await stream.aclose()
    del stream
    await asyncio.wait_for(engine.withdrawn.wait(), 20)


async def test_an_error_in_the_middle_ends_the_scene() -> None:
    recorder = Recorder()
    with pytest.raises(EngineError, match="The model failed"):
        await read(Halting(EngineError("The model failed.")), recorder)
    assert not recorder._open
    assert {call.node for call in recorder.calls} >= {"respond", "role_action"}
