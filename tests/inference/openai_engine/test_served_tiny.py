"""The openai engine against servers that run the tiny model: `transformers serve`, llama-server, and our own.

`transformers serve` chats and overlooks shapes. llama-server constrains; it is tried where it is installed.
Our own is the transformers engine behind the same protocol; shapes go through xgrammar, as in vLLM, SGLang.
"""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from graph import build_graph
from graph.play import play
from inference.chat_model import EngineChatModel
from inference.engine import ChatMessage, Engine, GenerationRequest, stream
from inference.loading import load_engine
from inference.models.local import transformers_folder
from inference.models.sources import resolve
from nodes.prose import Lines, Prose, sentence
from scene.errors import InputError, PromptTooLongError, ReplyError
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.loopback import Exchange, completion, loopback, refuses

pytestmark = [pytest.mark.model, pytest.mark.timeout(600)]

STARTUP_SECONDS = 120


def ask(text: str, **settings) -> GenerationRequest:
    messages = (ChatMessage("system", "You are friendly."), ChatMessage("user", text))
    return GenerationRequest(messages=messages, **{"max_tokens": 16, **settings})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def child(port: int, *command: str) -> Iterator[str]:
    """A server in a process of its own, once it says that it is well; its base URL."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + STARTUP_SECONDS
            while not _is_well(port):
                assert process.poll() is None, f"{command[0]} ended"
                assert time.monotonic() < until, f"{command[0]} did not start"
                time.sleep(0.2)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.kill()


def _is_well(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


@contextmanager
def transformers_serve() -> Iterator[Engine]:
    folder, port = str(transformers_folder(resolve("tiny"))), free_port()
    program = [sys.executable, "-c", "from transformers.cli.transformers import main; main()"]
    with child(port, *program, "serve", folder, "--device", "cpu", "--port", str(port)) as url:
        with closing(load_engine(folder, base_url=url)) as engine:
            yield engine


@contextmanager
def llama_server(gguf: Path) -> Iterator[Engine]:
    port = free_port()
    options = ["--ctx-size", "8192", "--parallel", "4", "--alias", "tiny", "--port", str(port)]
    with child(port, "llama-server", "--model", str(gguf), *options) as url:
        with closing(load_engine(base_url=url)) as engine:
            yield engine


@contextmanager
def our_own(model: Engine) -> Iterator[Engine]:
    def answer(exchange: Exchange) -> None:
        body = exchange.body
        schema = body.get("response_format", {}).get("json_schema", {}).get("schema")
        request = GenerationRequest(
            messages=tuple(ChatMessage(message["role"], message["content"]) for message in body["messages"]),
            schema=schema,
            stop=tuple(body.get("stop", ())),
            **{key: body[key] for key in ("max_tokens", "temperature", "top_p", "seed")},
        )
        try:
            done = asyncio.run(model.generate(request))
        except InputError as error:
            return refuses(400, str(error))(exchange)
        usage = {
            "prompt_tokens": done.prompt_tokens,
            "completion_tokens": done.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
        }
        return exchange.send(completion(done.text, done.finish_reason, usage))

    with (
        loopback(answer) as server,
        closing(load_engine(base_url=server.url)) as engine,
    ):
        yield engine


@pytest.fixture(scope="module", params=["our own", "llama-server"])
def engine(
    request: pytest.FixtureRequest, tiny_gguf: Path, tiny_engine: Callable[[str], Engine]
) -> Iterator[Engine]:
    """An engine on a server that constrains decoding."""
    if request.param == "llama-server" and shutil.which("llama-server") is None:
        pytest.skip("llama-server is not installed")
    ours = request.param == "our own"
    with our_own(tiny_engine("transformers")) if ours else llama_server(tiny_gguf) as engine:
        yield engine


async def test_transformers_serve_chats() -> None:
    with transformers_serve() as engine:
        assert engine.identity.engine == "openai"
        long, stopped, *same = await asyncio.gather(
            engine.generate(ask("Tell me a long story.")),
            engine.generate(ask("Count from one to nine in words.", stop=(" ",))),
            *(engine.generate(ask("How are you?", max_tokens=12)) for _ in range(2)),
        )
        assert (long.finish_reason, long.completion_tokens) == ("length", 16)
        assert long.prompt_tokens > 16
        assert stopped.text
        assert " " not in stopped.text
        assert same[0] == same[1]
        said: list[str] = []
        assert await stream(engine, ask("How are you?", max_tokens=12), said.append) == same[0]
        assert "".join(said) == same[0].text
        assert len(said) > 5
        with pytest.raises(InputError, match="overlooks response_format"):
            await engine.generate(ask("Is water wet?", choices=("yes", "no")))


async def test_many_at_once(engine: Engine) -> None:
    """Beside each other, and each in its own shape."""
    word, *choices = await asyncio.gather(
        engine.generate(ask("Say a word.", pattern="[a-z]{3,8}")),
        *(engine.generate(ask(f"Is {number} even?", choices=("it is", "it is not"))) for number in range(9)),
    )
    assert re.fullmatch("[a-z]{3,8}", word.text)
    assert {choice.text for choice in choices} <= {"it is", "it is not"}
    assert all(choice.finish_reason == "stop" for choice in choices)
    assert all(choice.prompt_tokens > 16 for choice in choices)


@pytest.mark.parametrize(
    "choices", [("it happens", "it can't happen"), ('say "x"', "back\\slash", "über, [a]")]
)
async def test_any_text_can_be_a_choice(engine: Engine, choices: tuple[str, ...]) -> None:
    assert (await engine.generate(ask("Choose.", choices=choices, max_tokens=24))).text in choices


@pytest.mark.parametrize(
    "pattern",
    [
        Prose(2, "I ").pattern,
        Prose(3).pattern,
        Lines((sentence("I [a-z]"),) * 2).pattern,
        "The asker is [a-z]+|Nobody",
    ],
)
async def test_the_scene_s_patterns(engine: Engine, pattern: str) -> None:
    done = await engine.generate(ask("What do you do?", pattern=pattern, max_tokens=64))
    if done.finish_reason == "stop":
        assert re.fullmatch(pattern, done.text)
    else:
        assert re.match("I |[A-Z]", done.text)
        assert len(done.text) > 40


async def test_a_schema_keeps_its_order(engine: Engine) -> None:
    properties = {
        "check": {"type": "string", "pattern": f"^{sentence()}$"},
        "result": {"type": "string", "enum": ["it happens", "it can't happen"]},
        "place": {"type": "string", "pattern": "^[a-z]{3,9}$"},
    }
    schema = {"type": "object", "properties": properties, "required": [*properties]}
    done = await engine.generate(
        ask("Can it happen?", schema=schema, max_tokens=200, temperature=1.0, seed=3)
    )
    if done.finish_reason == "stop":
        assert list(json.loads(done.text)) == ["check", "result", "place"]
    else:
        assert re.match(r'\{\s*"check"\s*:\s*"', done.text)


async def test_the_seed_decides(engine: Engine) -> None:
    one, two, other = [
        (await engine.generate(ask("Name a colour.", temperature=1.0, seed=seed, max_tokens=12))).text
        for seed in (2**32 - 1, 2**32 - 1, 8)
    ]
    assert one == two
    assert one != other


async def test_too_long_a_prompt(engine: Engine) -> None:
    with pytest.raises(PromptTooLongError, match="do not fit"):
        await engine.generate(ask("word " * 9000))


@pytest.mark.slow
async def test_a_scene(engine: Engine) -> None:
    """It ends, or fails by name, as it may on so small a model."""
    settings = SceneSettings(
        roles=1, steps=2, max_interactions=2, answer_tokens=32, text_tokens=48, retries=1
    )
    graph = build_graph(EngineChatModel(engine=engine))
    try:
        record = await play(graph, "Can I feed bread to ducks?", model=engine.identity, settings=settings)
    except ReplyError:
        return
    assert SceneRecord.from_json(record.to_json()) == record
    assert record.model.engine == "openai"
