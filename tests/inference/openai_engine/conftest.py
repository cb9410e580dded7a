"""A scripted server on loopback and engines on it."""

import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from inference.engine import Engine
from inference.loading import load_engine
from tests.inference.openai_engine.driving import Connect
from tests.loopback import Loopback, loopback, says


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "MONOPOLYLOGUE_CONCURRENCY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Loopback]:
    with loopback(says("Well.")) as server:
        yield server


@pytest.fixture
def connect() -> Iterator[Connect]:
    """`connect(server, **options)`: an engine, closed in the end."""
    engines: list[Engine] = []

    def connect(server: Loopback, **options: Any) -> Engine:
        engines.append(load_engine(base_url=server.url, **options))
        return engines[-1]

    yield connect
    for engine in engines:
        engine.close()


@pytest.fixture
def engine(server: Loopback, connect: Connect) -> Engine:
    return connect(server)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's own waits between its tries, a hundredth as long."""
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.005)
    monkeypatch.setattr("openai._base_client.MAX_RETRY_DELAY", 0.08)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have waited between its tries, in seconds, one after another."""
    seconds: list[float] = []

    async def sleep(delay: float) -> None:
        seconds.append(delay)

    monkeypatch.setattr("openai._base_client.anyio.sleep", sleep)
    return seconds


@pytest.fixture
def warned() -> Iterator[threading.Event]:
    """Set once the engine has warned."""
    event = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: event.set()
    logger = logging.getLogger("inference.openai_engine.engine")
    logger.addHandler(handler)
    yield event
    logger.removeHandler(handler)
