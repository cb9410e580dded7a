"""Engines as LangChain chat models that are streamed."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from pydantic import BaseModel

from inference.chat_model import EngineChatModel
from inference.engine import Completion, GenerationRequest, OnText
from inference.scripted import ScriptedEngine
from scene.errors import EngineError

TEXT = "Grüße, 😀!\n\nTwo  paragraphs. "


class Halting(ScriptedEngine):
    """Says two words, then waits for ever or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__([])
        self.error = error
        self.begun = asyncio.Event()
        self.withdrawn = threading.Event()

    async def stream(self, request: GenerationRequest, on_text: OnText) -> Completion:
        self.begun.set()
        try:
            on_text("Oh ")
            on_text("no")
            if self.error is not None:
                raise self.error
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.withdrawn.set()
            raise
        raise AssertionError


class Mute:
    """An engine that can't stream."""

    constrains = True

    def __init__(self) -> None:
        self._engine = ScriptedEngine([TEXT])
        self.identity = self._engine.identity
        self.generate = self._engine.generate


def whole(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    message = chunks[0]
    for chunk in chunks[1:]:
        message += chunk
    return message


def same(streamed: AIMessage, invoked: AIMessage) -> bool:
    return all(
        getattr(streamed, name) == getattr(invoked, name)
        for name in ("content", "response_metadata", "usage_metadata", "tool_calls")
    )


async def test_the_pieces_are_the_message() -> None:
    model = EngineChatModel(engine=ScriptedEngine(lambda request: TEXT))
    invoked = await model.ainvoke("Hello?")
    chunks = [chunk async for chunk in model.astream("Hello?")]
    assert [chunk.text for chunk in chunks] == ["Grüße,", " 😀!", "\n\nTwo", "  paragraphs.", " ", ""]
    assert same(whole(chunks), invoked)
    assert invoked.response_metadata == {"finish_reason": "stop", "model_name": "scripted"}
    assert same(await model.ainvoke("Hello?", stream=True), invoked)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_thought_is_where_langchain_keeps_thoughts() -> None:
    model = EngineChatModel(engine=ScriptedEngine(lambda request: f"<think>Hm.</think>{TEXT}"))
    invoked = await model.ainvoke("Hello?")
    chunks = [chunk async for chunk in model.astream("Hello?")]
    for message in (invoked, whole(chunks)):
        assert message.text == TEXT
        assert message.additional_kwargs == {"reasoning_content": "Hm."}
        assert message.content_blocks[0] == {"type": "reasoning", "reasoning": "Hm."}


@pytest.mark.parametrize("shape", [{"choices": ["in short", "at length"]}, {"pattern": ".*"}, {"schema": {}}])
async def test_a_shaped_reply_comes_in_one_piece(shape: dict[str, object]) -> None:
    model = EngineChatModel(engine=ScriptedEngine(["in short"]))
    chunks = [chunk async for chunk in model.astream("How?", **shape)]
    assert [chunk.text for chunk in chunks] == ["in short", ""]


async def test_an_engine_that_can_not_stream_says_it_in_one_piece() -> None:
    chunks = [chunk async for chunk in EngineChatModel(engine=Mute()).astream("Hello?")]
    assert [chunk.text for chunk in chunks] == [TEXT, ""]


async def test_an_empty_reply_has_its_facts() -> None:
    model = EngineChatModel(engine=ScriptedEngine(lambda request: ""))
    chunks = [chunk async for chunk in model.astream("Hello?")]
    assert same(whole(chunks), await model.ainvoke("Hello?"))


async def test_structured_output_streams_as_an_instance() -> None:
    class Pet(BaseModel):
        name: str

    model = EngineChatModel(engine=ScriptedEngine(['{"name": "Rex"}']))
    assert [pet async for pet in model.with_structured_output(Pet).astream("Name a pet.")] == [
        Pet(name="Rex")
    ]


async def test_how_likely_weighed_choices_are_is_in_the_metadata() -> None:
    class Weighing(ScriptedEngine):
        async def generate(self, request: GenerationRequest) -> Completion:
            return replace(await super().generate(request), likelihoods=(-1.5, -0.5) if request.weigh else ())

    model = EngineChatModel(engine=Weighing(lambda request: "at length"))
    choices = ["in short", "at length"]
    weighed = await model.ainvoke("How?", choices=choices, weigh=True)
    assert weighed.response_metadata["likelihoods"] == [-1.5, -0.5]
    chunks = [chunk async for chunk in model.astream("How?", choices=choices, weigh=True)]
    assert same(whole(chunks), weighed)
    assert "likelihoods" not in (await model.ainvoke("How?", choices=choices)).response_metadata


async def test_several_streams_at_once_keep_apart() -> None:
    model = EngineChatModel(engine=ScriptedEngine(lambda request: request.messages[-1].content * 3))

    async def read(text: str) -> str:
        return "".join([chunk.text async for chunk in model.astream(text)])

    texts = [f"word {number} " for number in range(20)]
    assert await asyncio.gather(*map(read, texts)) == [text * 3 for text in texts]


async def test_an_error_in_the_middle_comes_after_what_was_said() -> None:
    model = EngineChatModel(engine=Halting(EngineError("The model failed.")))
    stream = model.astream("Hello?")
    assert [(await anext(stream)).text for _ in range(2)] == ["Oh ", "no"]
    with pytest.raises(EngineError, match="failed"):
        await anext(stream)


async def test_who_stops_reading_withdraws_the_request() -> None:
    engine = Halting()
    model = EngineChatModel(engine=engine)

    async for chunk in model.astream("Hello?"):
        assert chunk.text == "Oh "
        break
    assert await asyncio.to_thread(engine.withdrawn.wait, 10)
    engine.withdrawn.clear()

    stream: AsyncIterator[AIMessageChunk] = model.astream("Hello?")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    assert await asyncio.to_thread(engine.withdrawn.wait, 10)
    engine.withdrawn.clear()
    engine.begun.clear()

    async def read() -> None:
        async for _ in model.astream("Hello?"):
            pass

    task = asyncio.create_task(read())
    await engine.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert engine.withdrawn.is_set()


async def test_an_error_nobody_reads_is_not_printed(caplog: pytest.LogCaptureFixture) -> None:
    stream = EngineChatModel(engine=Halting(EngineError("The model failed."))).astream("Hello?")
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0)
    assert not caplog.records


def test_a_synchronous_stream() -> None:
    model = EngineChatModel(engine=ScriptedEngine(lambda request: TEXT))
    chunks = list(model.stream("Hello?"))
    assert len(chunks) == 6
    assert same(whole(chunks), model.invoke("Hello?"))

    async def inside() -> str:
        return "".join(chunk.text for chunk in model.stream("Hello?"))

    assert asyncio.run(inside()) == TEXT


def test_a_synchronous_stream_that_is_left_withdraws_its_request() -> None:
    engine = Halting()
    stream: Iterator[AIMessageChunk] = EngineChatModel(engine=engine).stream("Hello?")
    assert next(stream).text == "Oh "
    stream.close()  # type: ignore[attr-defined]
    assert engine.withdrawn.is_set()
    engine.error = EngineError("The model failed.")
    with pytest.raises(EngineError, match="failed"):
        list(EngineChatModel(engine=engine).stream("Hello?"))


async def test_texts_to_avoid_reach_the_engine() -> None:
    engine = ScriptedEngine(["one", "two"])
    model = EngineChatModel(engine=engine)
    await model.ainvoke("Hello?", avoid=["I wait.", "I go."])
    await model.ainvoke("Hello?")
    assert [request.avoid for request in engine.requests] == [("I wait.", "I go."), ()]
