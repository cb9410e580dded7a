"""Many requests at once, requests that are withdrawn, and the end of an engine."""

import asyncio
import threading

import pytest

from inference.chat_model import EngineChatModel
from inference.engine import Engine
from scene.errors import EngineError
from tests.inference.openai_engine.driving import Connect, ask
from tests.loopback import Exchange, Loopback, Waits, completion


async def test_no_more_than_so_many_are_under_way(
    server: Loopback, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONOPOLYLOGUE_CONCURRENCY", "3")
    full = threading.Barrier(3)

    def together(exchange: Exchange) -> None:
        full.wait(10)  # three arrive side by side, or this breaks
        exchange.send(completion(exchange.body["messages"][0]["content"], "stop", {}))

    server.act = together
    engine = connect(server)
    done = await asyncio.gather(*(engine.generate(ask(str(number))) for number in range(12)))
    assert [one.text for one in done] == [str(number) for number in range(12)]
    assert server.most_under_way == 3


async def test_a_cancelled_request_is_withdrawn(server: Loopback, engine: Engine) -> None:
    waits = Waits()
    server.acts = [waits]
    task = asyncio.create_task(engine.generate(ask()))
    assert await asyncio.to_thread(waits.arrived.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(waits.withdrawn.wait, 10)
    assert (await engine.generate(ask())).text == "Well."


async def test_closing_fails_what_is_under_way_and_what_comes_after(server: Loopback, engine: Engine) -> None:
    waits = server.act = Waits()
    task = asyncio.create_task(engine.generate(ask()))
    assert await asyncio.to_thread(waits.arrived.wait, 10)
    await asyncio.to_thread(engine.close)
    with pytest.raises(EngineError, match="closed"):
        await task
    assert await asyncio.to_thread(waits.withdrawn.wait, 10)
    with pytest.raises(EngineError, match="closed"):
        await engine.generate(ask())
    engine.close()


def test_one_engine_serves_many_event_loops(engine: Engine) -> None:
    """As synchronous LangChain calls and `asyncio.run` one after another do."""
    for _ in range(3):
        assert asyncio.run(engine.generate(ask())).text == "Well."
    assert EngineChatModel(engine=engine).batch(["a", "b"])[1].text == "Well."
