"""A server in the test's own event loop, and the clients that people have."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import openai
import pytest

from cli.serving.app import build_app
from cli.serving.desk import Desk
from cli.serving.process import Server
from inference.engine import Completion, Engine, GenerationRequest
from inference.scripted import ScriptedEngine
from scene.settings import SceneSettings
from tests.scripted_scene import prompt_of

SMALL = SceneSettings(roles=1, steps=2, max_interactions=2)
MODEL = "scripted"
QUESTION = [{"role": "user", "content": "May I read my son's diary?"}]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


class Serving:
    """A running server: its address, its desk, and what it said of each request."""

    def __init__(self, url: str, desk: Desk, said: list[str]) -> None:
        self.url, self.desk, self.said = url, desk, said
        self.clients: list[openai.AsyncOpenAI] = []

    def client(self, **options: Any) -> openai.AsyncOpenAI:
        """OpenAI's own, which asks once."""
        given = {"base_url": self.url, "api_key": "any", "max_retries": 0, **options}
        self.clients.append(openai.AsyncOpenAI(**given))
        return self.clients[-1]

    async def until(self, under_way: int) -> None:
        """Wait until so many requests are being answered."""
        while len(self.desk._under_way) != under_way:  # noqa: ASYNC110  # nobody is told
            await asyncio.sleep(0)

    async def post(self, body: object = None, **options: Any) -> httpx.Response:
        """What is answered to a body of JSON, or to bytes."""
        given = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"content-type": "application/json", **options.pop("headers", {})}
        async with httpx.AsyncClient(timeout=60) as client:
            return await client.post(f"{self.url}/chat/completions", headers=headers, **given, **options)


@asynccontextmanager
async def serving(
    engine: Engine,
    *,
    rehearse: str = "always",
    scenes: int = 8,
    queue: int = 8,
    keep: Callable[..., Awaitable[None]] | None = None,
    key: str = "",
    loopback: bool = True,
) -> AsyncIterator[Serving]:
    said: list[str] = []
    desk = Desk(engine, SMALL, rehearse=rehearse, scenes=scenes, queue=queue, keep=keep, say=said.append)
    listening = socket.create_server(("127.0.0.1", 0))
    server = Server(desk, build_app(desk, MODEL, key=key, loopback=loopback))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    one = Serving(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", desk, said)
    try:
        yield one
    finally:
        for client in one.clients:
            await client.close()
        server.should_exit = True
        desk.close()
        await running


class Waits(ScriptedEngine):
    """Answers the first question, and nothing of a scene until it is let; knows of whoever was withdrawn."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.let, self.asked, self.withdrawn = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def generate(self, request: GenerationRequest) -> Completion:
        if prompt_of(request) != "respond":
            self.asked.set()
            try:
                await self.let.wait()
            except asyncio.CancelledError:
                self.withdrawn.set()
                raise
        return await super().generate(request)
