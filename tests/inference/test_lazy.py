"""An engine that is still being loaded when requests come, leave, or when it is closed."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, GenerationRequest
from inference.lazy import LazyEngine
from inference.scripted import ScriptedEngine
from scene.errors import EngineError, ModelLoadError

HELLO = GenerationRequest(messages=(ChatMessage("user", "Hello?"),), max_tokens=9)


class Closing(ScriptedEngine):
    """Says when it is closed."""

    def __init__(self, replies: Callable[[GenerationRequest], str]) -> None:
        super().__init__(replies)
        self.closed = threading.Event()

    def close(self) -> None:
        super().close()
        self.closed.set()


class Loader:
    """Loads a scripted engine as soon as it may."""

    def __init__(self) -> None:
        self.begun, self.may = threading.Event(), threading.Event()
        self.loads = 0
        self.error: Exception | None = None
        self.engine = Closing(lambda request: "Well, well.")

    def __call__(self) -> Closing:
        self.loads += 1
        self.begun.set()
        assert self.may.wait(20)
        if self.error is not None:
            raise self.error
        return self.engine


@pytest.fixture
def loader() -> Iterator[Loader]:
    loader = Loader()
    yield loader
    loader.may.set()


async def test_a_request_that_is_cancelled_meanwhile_never_starts(loader: Loader) -> None:
    lazy = LazyEngine("default", loader)
    first, second, kept = (asyncio.create_task(lazy.generate(HELLO)) for _ in range(3))
    assert await asyncio.to_thread(loader.begun.wait, 20)
    first.cancel()
    second.cancel()
    done, _ = await asyncio.wait([first, second], timeout=20)
    assert done == {first, second}
    assert first.cancelled()
    loader.may.set()
    assert (await kept).text == "Well, well."
    assert (len(loader.engine.requests), loader.loads) == (1, 1)
    assert (await lazy.generate(HELLO)).text == "Well, well."


async def test_when_all_have_left_the_model_is_there_for_the_next(loader: Loader) -> None:
    lazy = LazyEngine("default", loader)
    task = asyncio.create_task(lazy.generate(HELLO))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=20)
    loader.may.set()
    assert (await lazy.generate(HELLO)).text == "Well, well."
    assert loader.loads == 1


async def test_those_who_wait_hold_up_nobody_else(loader: Loader) -> None:
    lazy = LazyEngine("default", loader)
    tasks = [asyncio.create_task(lazy.generate(HELLO)) for _ in range(100)]
    assert await asyncio.to_thread(loader.begun.wait, 20)
    await asyncio.wait_for(asyncio.to_thread(int), 20)
    loader.may.set()
    assert {one.text for one in await asyncio.gather(*tasks)} == {"Well, well."}


async def test_a_failed_load_fails_who_waits_and_is_tried_again(loader: Loader) -> None:
    lazy = LazyEngine("default", loader)
    loader.error = ModelLoadError("No such model.")
    loader.may.set()
    for error in await asyncio.gather(*(lazy.generate(HELLO) for _ in range(3)), return_exceptions=True):
        assert isinstance(error, ModelLoadError)
    assert lazy.identity.engine == "not loaded"
    loader.error = None
    assert (await lazy.generate(HELLO)).text == "Well, well."
    assert lazy.identity.engine == "scripted"


async def test_closing_does_not_wait_for_the_model(loader: Loader) -> None:
    lazy = LazyEngine("default", loader)
    task = asyncio.create_task(lazy.generate(HELLO))
    assert await asyncio.to_thread(loader.begun.wait, 20)
    lazy.close()
    with pytest.raises(EngineError, match="closed"):
        await lazy.generate(HELLO)
    loader.may.set()
    await asyncio.wait([task], timeout=20)
    assert await asyncio.to_thread(loader.engine.closed.wait, 20)
    lazy.close()


async def test_it_streams_what_it_has_loaded(loader: Loader) -> None:
    loader.may.set()
    said: list[str] = []
    completion = await LazyEngine("default", loader).stream(HELLO, said.append)
    assert said == ["Well,", " well."]
    assert completion.text == "Well, well."


async def test_it_weighs_once_an_engine_is_there_that_does(loader: Loader) -> None:
    loader.may.set()
    loader.engine.weighs = True
    lazy = LazyEngine("default", loader)
    assert not EngineChatModel(engine=lazy).weighs
    await lazy.generate(HELLO)
    assert EngineChatModel(engine=lazy).weighs
    loader.engine.weighs = False
    assert not EngineChatModel(engine=lazy).weighs
