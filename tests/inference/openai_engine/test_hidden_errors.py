"""Errors that come under status 200: in the body, in a choice, or in a stream before anything is said."""

import asyncio
import gzip
import json
import threading
from typing import Any

import pytest

from inference.engine import Engine, StreamingEngine
from inference.openai_engine.engine import RETRIES
from scene.errors import EngineError, InputError, ModelNotFoundError, PromptTooLongError
from tests.inference.openai_engine.driving import ask, failure
from tests.loopback import Act, Exchange, Loopback, chunk, says, streams

TOLD: list[Any] = [
    {"choices": None, "error": {"code": 429, "message": "Rate limited"}},
    {"error": {"code": "503", "message": "Rate limited"}},
    {"error": {"type": "overloaded_error", "message": "Rate limited"}},
    {"error": {"message": "Rate limited"}},
    {"error": "Rate limited"},
    {"object": "error", "message": "Rate limited", "type": "ServiceUnavailable", "code": 503},
    {"object": "error", "message": "Rate limited", "code": 42903},
    {"detail": "Rate limited"},
    {"code": 1302, "msg": "Rate limited"},
    [{"error": {"code": 429, "message": "Rate limited"}}],
    {"error": True, "message": "Rate limited"},
    {"errors": [{"message": "Rate limited"}]},
    {"error_code": 336501, "error_msg": "Rate limited"},
    {"choices": None, "base_resp": {"status_code": 1002, "status_msg": "Rate limited"}},
    {"error": {"code": 429, "message": "Too many tokens: Rate limited"}},
    {"choices": [{"index": 0, "finish_reason": "error", "error": {"code": 502, "message": "Rate limited"}}]},
]


def sends(body: object, **headers: str) -> Act:
    return lambda exchange: exchange.send(body, **headers)


@pytest.mark.parametrize("body", TOLD, ids=json.dumps)
@pytest.mark.usefixtures("slept")
async def test_what_passes_is_tried_again(server: Loopback, engine: Engine, body: object) -> None:
    server.acts = [sends(body)] * 2
    assert (await engine.generate(ask())).text == "Well."
    server.act = sends(body)
    error = await failure(engine, ask())
    assert isinstance(error, EngineError)
    assert "goes on failing (" in str(error)
    assert str(error).endswith(": Rate limited.")
    assert len(server.posts) == 3 + RETRIES + 1


@pytest.mark.parametrize("body", TOLD[:6], ids=json.dumps)
@pytest.mark.usefixtures("slept")
async def test_so_it_is_where_replies_are_streamed(server: Loopback, engine: Engine, body: Any) -> None:
    assert isinstance(engine, StreamingEngine)
    whole, stream = json.dumps(body), "text/event-stream"
    server.acts = [
        sends(body),
        sends(whole, Content_Type=stream),
        sends(f": hm\n\ndata: {whole}", Content_Type=stream),
        streams(body, finish_reason=None),
        streams("", "", body, finish_reason=None),
    ]
    server.act = streams("Well", ".")
    pieces: list[str] = []
    assert (await engine.stream(ask(), pieces.append)).text == "Well."
    assert pieces == ["Well", "."]
    assert len(server.posts) == 6


async def test_how_long_to_wait_is_heeded(server: Loopback, engine: Engine, slept: list[float]) -> None:
    server.acts = [sends(TOLD[0], Retry_After="7")]
    await engine.generate(ask())
    assert slept == [7]


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        ({"code": 400, "message": "Bad manners"}, InputError, "refuses a request (400): Bad manners."),
        ({"type": "invalid_request_error", "message": "No."}, InputError, "refuses a request (400): No."),
        ({"code": 401, "message": "Who?"}, InputError, "refuses the API key"),
        ({"type": "authentication_error", "message": "Who?"}, InputError, "refuses the API key"),
        (
            {"code": "model_not_found", "message": "Gone."},
            ModelNotFoundError,
            "does not chat with this model",
        ),
        ({"message": "maximum context length is 4096 tokens"}, PromptTooLongError, "do not fit"),
    ],
)
async def test_what_stays_is_not(
    server: Loopback, engine: Engine, error: object, kind: type, words: str
) -> None:
    server.act = sends({"error": error})
    told = await failure(engine, ask())
    assert isinstance(told, kind)
    assert words in str(told)
    assert len(server.posts) == 1


@pytest.mark.parametrize("reason", ["abort", "error"])
@pytest.mark.usefixtures("slept")
async def test_a_reply_that_was_ended_before_its_end(server: Loopback, engine: Engine, reason: str) -> None:
    assert isinstance(engine, StreamingEngine)
    server.acts = [says("We", reason), says("Well.")]
    assert (await engine.generate(ask())).text == "Well."
    server.act = streams("We", finish_reason=reason)
    with pytest.raises(EngineError, match="broke a reply off"):
        await engine.stream(ask(), lambda piece: None)


async def test_a_reply_with_an_empty_error_is_a_reply(server: Loopback, engine: Engine) -> None:
    def act(exchange: Exchange) -> None:
        body = {**chunk("", "stop"), "error": None, "message": "ok", "object": "chat.completion"}
        body["choices"][0] |= {"message": {"role": "assistant", "content": "Well."}, "error": {}}
        exchange.send(body)

    server.act = act
    assert (await engine.generate(ask())).text == "Well."


async def test_a_compressed_stream(server: Loopback, engine: Engine) -> None:
    assert isinstance(engine, StreamingEngine)

    def act(exchange: Exchange) -> None:
        events = [chunk(""), chunk("Well"), chunk("."), chunk("", "stop")]
        data = gzip.compress("".join(f"data: {json.dumps(event)}\n\n" for event in events).encode())
        exchange.send_response(200)
        exchange.send_header("Content-Type", "text/event-stream; charset=utf-8")
        exchange.send_header("Content-Encoding", "gzip")
        exchange.send_header("Content-Length", str(len(data)))
        exchange.end_headers()
        exchange.wfile.write(data)

    server.act = act
    assert (await engine.stream(ask(), lambda piece: None)).text == "Well."


async def test_a_stream_that_is_withdrawn_before_it_says_anything(server: Loopback, engine: Engine) -> None:
    assert isinstance(engine, StreamingEngine)
    begun, withdrawn = threading.Event(), threading.Event()

    def act(exchange: Exchange) -> None:
        exchange.begin_stream()
        exchange.send_event(chunk(""))
        begun.set()
        try:
            hung_up = exchange.wait_for_disconnect()
        except ConnectionResetError:  # with the event unread
            hung_up = True
        if hung_up:
            withdrawn.set()

    server.act = act
    task = asyncio.create_task(engine.stream(ask(), lambda piece: None))
    assert await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    assert await asyncio.to_thread(withdrawn.wait, 10)
