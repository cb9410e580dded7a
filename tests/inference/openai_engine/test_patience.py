"""A server that is busy, gone for a while, gone for good, or silent."""

import asyncio
import itertools
import logging
import threading
from typing import Any

import pytest

from inference.engine import Engine
from inference.openai_engine.engine import RETRIES, OpenAIEngine
from inference.openai_engine.server import server_at
from scene.errors import EngineError
from scene.nouns import ModelIdentity
from tests.inference.openai_engine.driving import Connect, ask, failure
from tests.loopback import Loopback, Waits, hangs_up, loopback, refuses, says


@pytest.mark.parametrize(("header", "least"), [("1", 1.0), ("0.6", 0.6)])
async def test_retry_after_is_honoured(
    server: Loopback, engine: Engine, slept: list[float], header: str, least: float
) -> None:
    server.acts = [refuses(429, Retry_After=header), refuses(503, Retry_After=header)]
    await engine.generate(ask())
    assert slept == [least, least]


async def test_a_server_that_wants_more_than_two_minutes_is_not_waited_for(
    server: Loopback, engine: Engine, slept: list[float]
) -> None:
    server.act = refuses(429, "Out of quota", Retry_After="121")
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert str(error) == f"The server at {server.url} goes on failing (429): Out of quota."
    assert (len(server.posts), slept) == (1, [])


async def test_all_tries_of_a_request_share_its_time(server: Loopback) -> None:
    server.act = refuses(429, Retry_After="60")
    identity = ModelIdentity(id="parrot", revision=None, engine="openai")
    engine = OpenAIEngine(server_at(server.url), identity, concurrency=1, reply_seconds=0.5)
    try:
        error = await failure(engine, ask())
        assert isinstance(error, EngineError)
        assert "did not answer in 0 seconds, tries again included" in str(error)
    finally:
        engine.close()


async def test_it_backs_off_for_about_a_minute_and_then_says_so(
    server: Loopback, engine: Engine, slept: list[float]
) -> None:
    server.act = refuses(503, "Loading model")
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert str(error) == f"The server at {server.url} goes on failing (503): Loading model."
    assert len(server.posts) == RETRIES + 1
    assert 45 <= sum(slept) <= 65
    assert all(later >= 0.7 * earlier for earlier, later in itertools.pairwise(slept))


@pytest.mark.parametrize("act", [refuses(500), refuses(503), refuses(429), hangs_up])
@pytest.mark.usefixtures("soon")
async def test_a_server_that_recovers(
    server: Loopback, engine: Engine, caplog: pytest.LogCaptureFixture, act: Any
) -> None:
    server.acts = [act] * 7
    done = await asyncio.gather(*(engine.generate(ask()) for _ in range(3)))
    assert [one.text for one in done] == ["Well."] * 3
    (warning,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning == (
        f"The server at {server.url} is gone or busy; trying again for about a minute, or as it asks."
    )


@pytest.mark.usefixtures("soon")
async def test_a_server_that_goes_away_and_comes_back(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    warned: threading.Event,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 2)
    with loopback(says("Before.")) as server:
        port = server.server_port
        engine = connect(server)
        assert (await engine.generate(ask())).text == "Before."
    waiting = [asyncio.create_task(engine.generate(ask())) for _ in range(5)]
    assert await asyncio.to_thread(warned.wait, 10)
    with loopback(says("After."), port):
        assert [done.text for done in await asyncio.gather(*waiting)] == ["After."] * 5
    (warning,) = caplog.records
    assert warning.getMessage() == (
        f"The server at {server.url} is gone or busy; trying again for about a minute, or as it asks."
    )


@pytest.mark.usefixtures("soon")
async def test_a_server_that_stays_away(connect: Connect) -> None:
    with loopback(says("Before.")) as server:
        engine = connect(server)
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert str(error) == (
        f"The server at {server.url} is gone and did not come back in time; "
        "see that it runs, then run the command again."
    )


async def test_a_server_that_never_answers(server: Loopback) -> None:
    waits = server.act = Waits()
    identity = ModelIdentity(id="parrot", revision=None, engine="openai")
    engine = OpenAIEngine(server_at(server.url), identity, concurrency=1, reply_seconds=0.2)
    try:
        error = await failure(engine, ask())
        assert isinstance(error, EngineError)
        assert "did not answer in 0 seconds" in str(error)
        assert await asyncio.to_thread(waits.withdrawn.wait, 10)
        server.act = says("Well.")
        assert (await engine.generate(ask())).text == "Well."
    finally:
        engine.close()
